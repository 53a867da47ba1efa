"""Tokens without a text: what models ask of a tokenizer, and one whose token i is called `ti`.

Benchmarks have random ids, but files ask for a tokenizer.
"""

from __future__ import annotations

from typing import Protocol

from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

from pipeline.data.tokenise import SPECIAL_TOKENS


class TokenNumbers(Protocol):
    """What a model's configuration takes from a tokenizer, and from whatever only counts tokens: no text is read."""

    def __len__(self) -> int: ...

    @property
    def bos_token_id(self) -> int | None:
        """What some texts begin with."""

    @property
    def pad_token_id(self) -> int | None:
        """What fills short rows of a batch."""

    @property
    def eos_token_id(self) -> int | None:
        """What ends a text."""


def numbered_tokenizer(size: int) -> PreTrainedTokenizerFast:
    """So many tokens, BART's special ones first."""
    names = [*SPECIAL_TOKENS.values(), *(f"t{number}" for number in range(len(SPECIAL_TOKENS), size))]
    words = models.WordLevel({name: number for number, name in enumerate(names)}, unk_token=SPECIAL_TOKENS["unk_token"])
    return PreTrainedTokenizerFast(tokenizer_object=Tokenizer(words), **SPECIAL_TOKENS)
