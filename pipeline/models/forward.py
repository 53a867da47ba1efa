"""What models with and without a decoder have in common in a forward pass."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor

from pipeline.models.families import family_of
from pipeline.models.special_tokens import special_tokens

if TYPE_CHECKING:
    from transformers import PretrainedConfig


def start_token(model_config: PretrainedConfig) -> int | None:
    """The token that a model's decoder starts with; none for an encoder alone."""
    return None if family_of(model_config).decoder is None else special_tokens(model_config).start


def position_logits(output: Any) -> Tensor:
    """Logits of a model's output, (batch, target tokens, vocabulary); of a classifier (batch, 1, labels)."""
    logits: Tensor = output.logits
    return logits.unsqueeze(1) if logits.dim() == 2 else logits
