"""Pegasus: BART's layout with sinusoidal positions and layer norms before the residual."""

from __future__ import annotations

from typing import Any

from transformers import PegasusConfig, PegasusForConditionalGeneration
from transformers.models.pegasus.modeling_pegasus import PegasusAttention

from pipeline.config.schema import ArchitectureConfig
from pipeline.models.families.bart import BART_LAYOUT, POSITIONS, settings_from_scratch
from pipeline.models.family import Family


def from_scratch(shape: ArchitectureConfig, tokenizer: Any) -> PegasusConfig:
    """The configuration of a model with random weights."""
    settings = settings_from_scratch(shape, tokenizer) | {"decoder_start_token_id": tokenizer.pad_token_id}
    return PegasusConfig(**settings, scale_embedding=True)


FAMILY = Family(
    name="pegasus",
    model_class=PegasusForConditionalGeneration,
    attention_class=PegasusAttention,
    computed=tuple(f"{name}.weight" for name in POSITIONS),
    from_scratch=from_scratch,
    **BART_LAYOUT,
)
