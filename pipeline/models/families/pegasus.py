"""Pegasus: BART's layout with sinusoidal positions and layer norms before the residual."""

from __future__ import annotations

from transformers import PegasusConfig, PegasusForConditionalGeneration
from transformers.models.pegasus.modeling_pegasus import PegasusAttention

from pipeline.models.families.bart import BART_LAYOUT, POSITIONS, settings_from_scratch
from pipeline.models.family import Family

FAMILY = Family(
    name="pegasus",
    model_class=PegasusForConditionalGeneration,
    attention_class=PegasusAttention,
    computed=tuple(f"{name}.weight" for name in POSITIONS),
    start="pad_token_id",
    from_scratch=lambda shape, tokenizer: PegasusConfig(
        **settings_from_scratch(shape, tokenizer, starts_with_padding=True), scale_embedding=True
    ),
    **BART_LAYOUT,
)
