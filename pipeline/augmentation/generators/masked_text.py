"""A text with masks, as tokens and back: what is not masked stays to the letter, whatever a tokenizer makes of it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

CONTINUATION = "##"  # marks what goes on with a word in WordPiece
BEGINNINGS = ("Ġ", "▁")  # mark what begins one in byte-level BPE and in SentencePiece
UNUSED = re.compile(r"\[unused\d+\]")  # BERT's spare tokens


@dataclass(frozen=True, kw_only=True)
class Vocabulary:
    """What tokens are as texts, and which may be put in the place of a mask.

    Args:
        pieces: each token as text, without what marks the beginnings of words.
        usable: (tokens,) neither special nor empty, nor a part of a character alone.
        begins: (tokens,) begins a word.
        continues: (tokens,) cannot begin a text.
    """

    pieces: tuple[str, ...]
    usable: Tensor
    begins: Tensor
    continues: Tensor

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerBase) -> Vocabulary:
        """The vocabulary of a tokenizer."""
        tokens = [str(token) for token in tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))]
        continues = [token.startswith(CONTINUATION) and token != CONTINUATION for token in tokens]
        marked = [token.startswith(BEGINNINGS) for token in tokens]
        pieces = [
            token.removeprefix(CONTINUATION) if goes_on else tokenizer.decode([number]).strip()
            for number, (token, goes_on) in enumerate(zip(tokens, continues, strict=True))
        ]
        special = set(tokenizer.all_special_ids)
        usable = [
            number not in special and bool(piece) and "\ufffd" not in piece and not UNUSED.fullmatch(piece)
            for number, piece in enumerate(pieces)
        ]
        begins = [here and beginning for here, beginning in zip(usable, marked, strict=True)]
        return cls(
            pieces=tuple(pieces),
            usable=torch.tensor(usable),
            # Where nothing but the mark itself is marked, as among letters, anything may begin a word.
            begins=torch.tensor(begins) if any(begins) else ~torch.tensor(continues),
            continues=torch.tensor(continues),
        )


class MaskedText:
    """A text whose masks are filled one after another.

    Args:
        text: with masks.
        seed: of its randomness.
        tokenizer: its mask token is the mask.
    """

    def __init__(self, text: str, seed: int, tokenizer: PreTrainedTokenizerBase) -> None:
        self.ids: list[int] = tokenizer(text, add_special_tokens=False, verbose=False).input_ids
        self.places = [place for place, token in enumerate(self.ids) if token == tokenizer.mask_token_id]
        self.seed, self.random = seed, torch.Generator().manual_seed(seed)
        self._between = text.split(str(tokenizer.mask_token))
        if len(self.places) != len(self._between) - 1:
            raise ValueError(f"the tokenizer finds {len(self.places)} masks where there are {len(self._between) - 1}")

    def allowed(self, number: int, vocabulary: Vocabulary) -> Tensor:
        """Which tokens may be put in the place of a mask, (tokens,): no half words where a word must begin."""
        if not self._is_first(number):
            return vocabulary.usable
        if self._between[number][-1:].isspace():
            return vocabulary.usable & vocabulary.begins
        return vocabulary.usable & ~vocabulary.continues

    def put(self, number: int, token: int) -> None:
        """Put a token in the place of a mask."""
        self.ids[self.places[number]] = token

    def filled(self, vocabulary: Vocabulary) -> str:
        """The text, when all masks are filled; what goes on with a word of the same span stands right behind it."""
        parts = [self._between[0]]
        for number, place in enumerate(self.places):
            token = self.ids[place]
            if number and (self._is_first(number) or vocabulary.begins[token]):
                parts.append(self._between[number])
            parts.append(vocabulary.pieces[token])
        return "".join([*parts, self._between[-1]])

    def _is_first(self, number: int) -> bool:
        """Whether a mask is the first of a span: one after another, with nothing but space between."""
        return number == 0 or bool(self._between[number].strip())
