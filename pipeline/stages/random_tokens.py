"""Benchmarks need neither text nor trained weights: random tokens for models from scratch."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.config.errors import UserError
from pipeline.models.families import family_of

if TYPE_CHECKING:
    from transformers import PretrainedConfig

PAD = 1
NUM_SPECIAL = 4  # token ids below it are not drawn


@dataclass(frozen=True, kw_only=True)
class Vocabulary:
    """What a model from scratch asks of a tokenizer."""

    size: int
    bos_token_id: int = 0
    pad_token_id: int = PAD
    eos_token_id: int = 2

    def __len__(self) -> int:
        return self.size


def random_rows(num_rows: int, length: int, vocabulary: Vocabulary, draw: random.Random) -> list[list[int]]:
    """Rows of ordinary token ids, all of one length."""
    return [[draw.randrange(NUM_SPECIAL, len(vocabulary)) for _ in range(length)] for _ in range(num_rows)]


def check_generates(model_config: PretrainedConfig, num_tokens: int, change: str) -> None:
    """Refuse models without a decoder and sequences that are too long for the model.

    Args:
        model_config: the model's configuration.
        num_tokens: of the longest sequence.
        change: the settings that decide about it, for the message.

    Raises:
        UserError: as said.
    """
    family = family_of(model_config)
    if family.decoder is None:
        raise UserError(f"a {family.name} model, which does not generate", "a model with a decoder", "set model.family")
    check_positions(model_config, num_tokens, change)


def check_positions(model_config: PretrainedConfig, num_tokens: int, change: str) -> None:
    """Refuse sequences that are too long for the model; arguments as of `check_generates`.

    Raises:
        UserError: as said.
    """
    positions = family_of(model_config).num_positions(model_config)
    if positions is not None and num_tokens > positions:
        raise UserError(f"{num_tokens} tokens for a model of {positions} positions", f"at most {positions}", change)
