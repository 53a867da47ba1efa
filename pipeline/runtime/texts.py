"""Texts to token ids and back through `tokenizer.json` alone, exactly as models were trained and evaluated."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from pipeline.config.errors import UserError
from pipeline.data.limits import cut_row

UNFINISHED = "\ufffd"  # what a decoder writes for bytes that are no character yet
SINGLE_BYTE = re.compile(r"<0x[0-9A-F]{2}>")  # tokens of tokenizers that fall back to bytes

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Tokenised:
    """Texts, or pairs of texts, as token ids.

    Args:
        ids: of every text.
        types: for pairs, 0 for tokens of the first and 1 for tokens of the second text, as the tokenizer says.
        cut: whether each text was too long.
    """

    ids: list[list[int]]
    types: list[list[int]] | None
    cut: list[bool]


class TextTokenizer:
    """A model's tokenizer. Threads may share it.

    Args:
        path: `tokenizer.json`.
        prefix: put before every text.
        limit: most tokens of a text, special ones included.
        writes: the tokenizer of answers, if they have a vocabulary of their own.

    Raises:
        UserError: not the file of a tokenizer.
    """

    def __init__(self, path: Path, prefix: str, limit: int, writes: Path | None = None) -> None:
        self._prefix, self._limit = prefix, limit
        self._tokenizer = _read(path)
        self._writer = self._tokenizer if writes is None else _read(writes)
        self._special = _special_ids(self._tokenizer)
        self._never_written = _special_ids(self._writer)

    def tokenise(self, texts: Sequence[str], second: Sequence[str] | None = None) -> Tokenised:
        """Token ids of texts, or of pairs of texts; what is too long loses its end.

        Of a text special tokens at the end stay; of a pair the longer text loses tokens first.

        Raises:
            UserError: a limit that leaves nothing of a pair.
        """
        first = [self._prefix + text for text in texts]
        if second is None:
            rows = [row.ids for row in self._encoded(first)]
            return Tokenised(
                ids=[cut_row(row, self._limit, self._special) for row in rows], types=None, cut=self._too_long(rows)
            )
        whole = self._encoded(list(zip(first, second, strict=True)))
        kept = [self._kept(row.sequence_ids) for row in whole]
        return Tokenised(
            ids=[[row.ids[place] for place in places] for row, places in zip(whole, kept, strict=True)],
            types=[[row.type_ids[place] for place in places] for row, places in zip(whole, kept, strict=True)],
            cut=self._too_long([row.ids for row in whole]),
        )

    def text(self, ids: Sequence[int]) -> str:
        """The text of generated tokens, without special tokens and without white space around it."""
        return str(self._writer.decode(list(ids), skip_special_tokens=True)).strip()

    def pieces(self, tokens: Iterator[int]) -> Iterator[str]:
        """The text of tokens as they come; joined, the pieces are the text of all of them.

        What a later token may still change waits: white space at the end, characters that lack bytes.
        """
        ids: list[int] = []
        given_out = ""
        for token in tokens:
            ids.append(token)
            if token in self._never_written or SINGLE_BYTE.fullmatch(self._writer.id_to_token(token) or ""):
                continue  # a later byte can spoil the whole run of them
            text = self.text(ids).rstrip(UNFINISHED).rstrip()
            if len(text) > len(given_out) and text.startswith(given_out):
                yield text[len(given_out) :]
                given_out = text
        text = self.text(ids)
        if not text.startswith(given_out):
            log.warning("this tokenizer rewrites text that was given out already: %r became %r", given_out, text)
        if len(text) > len(given_out):
            yield text[len(given_out) :]

    def _encoded(self, texts: Sequence[str | tuple[str, str]]) -> list[Any]:
        try:
            return self._tokenizer.encode_batch(texts)
        except Exception as error:  # bare ones, such as for a word in a vocabulary without an unknown token
            raise UserError(
                f"the model's tokenizer cannot read a text: {error}", "texts that it knows", "export the model again"
            ) from error

    def _too_long(self, rows: Sequence[Sequence[int]]) -> list[bool]:
        return [len(row) > self._limit for row in rows]

    def _kept(self, texts_of: list[int | None]) -> list[int]:
        """Which tokens of a pair are left: the longer text loses its end first, special tokens stay.

        The library can do it, too, but it also makes every way of going on after the cut: minutes for long texts.
        """
        lengths = [texts_of.count(0), texts_of.count(1)]
        room = self._limit - (len(texts_of) - sum(lengths))
        if room < 0:
            raise UserError(
                f"pairs of texts for a model that takes {self._limit} tokens",
                "a model with room for both",
                "export a model that was trained on pairs",
            )
        left = list(cut_pair(lengths[0], lengths[1], room))
        kept = []
        for place, text in enumerate(texts_of):
            if text is not None:
                left[text] -= 1
                if left[text] < 0:
                    continue
            kept.append(place)
        return kept


def cut_pair(first: int, second: int, room: int) -> tuple[int, int]:
    """Lengths of two texts that fit into `room` together, as the tokenizers library cuts the longest first."""
    if first + second <= room:
        return first, second
    shorter, longer = sorted((first, second))
    if 2 * shorter > room:
        shorter, longer = room // 2, room - room // 2
    else:
        longer = room - shorter
    return (longer, shorter) if first > second else (shorter, longer)


def _special_ids(tokenizer: Tokenizer) -> set[int]:
    return {number for number, token in tokenizer.get_added_tokens_decoder().items() if token.special}


def _read(path: Path) -> Tokenizer:
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # the library raises bare exceptions; where it panics, they are none of Exception
        raise UserError(f"{path}: {error}", "the file of a tokenizer", "export the model again") from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer
