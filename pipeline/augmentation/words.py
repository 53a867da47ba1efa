"""Texts as words and back, in any script; where there are no spaces between words, characters stand for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from pipeline.augmentation.examples import Texts
from pipeline.evaluation.scripts import UNITS


class Word(NamedTuple):
    """A word with what stands at it, as punctuation.

    Args:
        text: the word.
        space: what stood between it and the one before.
    """

    text: str
    space: str


def words_of(text: str) -> list[Word]:
    """The words of a text; those of `text_of(words_of(text))` are the same."""
    words, end = [], 0
    for match in UNITS.finditer(text):
        words.append(Word(match.group(), text[end : match.start()]))
        end = match.end()
    return words


def text_of(words: Sequence[Word]) -> str:
    """A text of words in this order, each after its own space, or after one where it would be lost without."""
    parts, before = list[str](), ""
    for word in words:
        space = word.space or (" " if _stick(before, word.text) else "")
        parts += [space, word.text] if before else [word.text]
        before = word.text
    return "".join(parts)


def parts_of(texts: Texts) -> list[list[Word]]:
    """The words of a text, or of both of a pair."""
    return [words_of(text) for text in texts if text is not None]


def texts_of(parts: Sequence[Sequence[Word]]) -> Texts:
    """The inverse of `parts_of`."""
    return Texts(*map(text_of, parts))


def _stick(before: str, word: str) -> bool:
    return bool(before) and UNITS.findall(before + word) != [before, word]
