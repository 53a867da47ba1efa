"""MT5: T5 1.1 with the vocabulary of a hundred languages; gates, outputs that are not scaled, a head of its own."""

from __future__ import annotations

from dataclasses import replace

from transformers import MT5Config, MT5ForConditionalGeneration
from transformers.models.mt5.modeling_mt5 import MT5Attention

from pipeline.config.sections.model import ArchitectureConfig
from pipeline.data.numbered_tokens import TokenNumbers
from pipeline.models.families.t5 import FAMILY as T5
from pipeline.models.families.t5 import settings_from_scratch


def from_scratch(shape: ArchitectureConfig, tokenizer: TokenNumbers) -> MT5Config:
    """The configuration of a model with random weights."""
    return MT5Config(**settings_from_scratch(shape, tokenizer))


FAMILY = replace(
    T5,
    name="mt5",
    model_class=MT5ForConditionalGeneration,
    attention_class=MT5Attention,
    from_scratch=from_scratch,
)
