"""Marian: BART's layout with sinusoidal positions; decoding starts with the padding token."""

from __future__ import annotations

from transformers import MarianConfig, MarianMTModel
from transformers.models.marian.modeling_marian import MarianAttention

from pipeline.models.families.bart import BART_LAYOUT, POSITIONS, settings_from_scratch
from pipeline.models.family import Family

FAMILY = Family(
    name="marian",
    model_class=MarianMTModel,
    attention_class=MarianAttention,
    computed=tuple(f"{name}.weight" for name in POSITIONS),
    splits_vocabulary=True,
    start="pad_token_id",
    from_scratch=lambda shape, tokenizer: MarianConfig(
        **settings_from_scratch(shape, tokenizer, starts_with_padding=True),
        decoder_vocab_size=len(tokenizer),
        scale_embedding=True,
    ),
    **BART_LAYOUT,
)
