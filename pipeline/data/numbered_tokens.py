"""A tokenizer without a text: token i is called `ti`. Benchmarks have random ids, but files ask for a tokenizer."""

from __future__ import annotations

from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

from pipeline.data.tokenise import SPECIAL_TOKENS


def numbered_tokenizer(size: int) -> PreTrainedTokenizerFast:
    """So many tokens, BART's special ones first."""
    names = [*SPECIAL_TOKENS.values(), *(f"t{number}" for number in range(len(SPECIAL_TOKENS), size))]
    words = models.WordLevel({name: number for number, name in enumerate(names)}, unk_token=SPECIAL_TOKENS["unk_token"])
    return PreTrainedTokenizerFast(tokenizer_object=Tokenizer(words), **SPECIAL_TOKENS)
