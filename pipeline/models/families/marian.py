"""Marian: BART's layout with sinusoidal positions; decoding starts with the padding token."""

from __future__ import annotations

from typing import Any

from transformers import MarianConfig, MarianMTModel
from transformers.models.marian.modeling_marian import MarianAttention

from pipeline.config.schema import ArchitectureConfig
from pipeline.models.families.bart import BART_LAYOUT, POSITIONS, settings_from_scratch
from pipeline.models.family import Family


def from_scratch(shape: ArchitectureConfig, tokenizer: Any) -> MarianConfig:
    """The configuration of a model with random weights."""
    settings = settings_from_scratch(shape, tokenizer) | {"decoder_start_token_id": tokenizer.pad_token_id}
    return MarianConfig(**settings, decoder_vocab_size=len(tokenizer), scale_embedding=True)


FAMILY = Family(
    name="marian",
    model_class=MarianMTModel,
    attention_class=MarianAttention,
    computed=tuple(f"{name}.weight" for name in POSITIONS),
    from_scratch=from_scratch,
    **BART_LAYOUT,
)
