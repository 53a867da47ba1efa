"""mBART: BART with layer norms before the residual, scaled embeddings, and language codes as first or last tokens."""

from __future__ import annotations

from transformers import MBartConfig, MBartForConditionalGeneration
from transformers.models.mbart.modeling_mbart import MBartAttention

from pipeline.models.families.bart import BART_LAYOUT, POSITIONS, settings_from_scratch
from pipeline.models.family import Family

FAMILY = Family(
    name="mbart",
    model_class=MBartForConditionalGeneration,
    attention_class=MBartAttention,
    positions=POSITIONS,
    from_scratch=lambda shape, tokenizer: MBartConfig(**settings_from_scratch(shape, tokenizer), scale_embedding=True),
    **BART_LAYOUT,
)
