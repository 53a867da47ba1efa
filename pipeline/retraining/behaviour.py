"""How outputs look, whatever their scores: lengths, loops, copies, numbers, empty answers, flipped labels.

Words are those of `evaluation.scripts`: where a script has no spaces between words, characters stand for them.
"""

from __future__ import annotations

import itertools
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import regex

from pipeline.evaluation.scripts import WORDS, num_units

MIN_COPIES = 4  # of a block in a row: people say a thing three times
MIN_LOOP_WORDS = 8  # that all copies together have: laughter is shorter
MIN_LOOP_CHARACTERS = 20  # the same where there are no words, as in a row of dashes
LONGEST_BLOCK = 64  # words, or characters
INVISIBLE = {"Cc", "Cf", "Zs", "Zl", "Zp"}  # Unicode's categories of controls, formats and spaces
# Digits of all scripts; what stands between them groups them or begins the fraction, which languages do differently.
NUMBER = regex.compile(r"\p{Nd}+(?:[.,'\u2019\u066b\u066c\u00a0\u202f]\p{Nd}+)*")


@dataclass(frozen=True, kw_only=True)
class Behaviour:
    """How the outputs of a model look. Shares are from 0 to 1.

    Args:
        length_ratio: mean of the length of an output for that of its reference, in words; none: all references are
            empty.
        repetition: share of outputs with a block of words or characters that follows itself again and again.
        copies: share of outputs that are their source.
        numbers: share of the numbers in sources that the output has, too; none: sources have no numbers.
        empties: share of outputs in which nothing can be seen.
    """

    length_ratio: float | None
    repetition: float
    copies: float
    numbers: float | None
    empties: float


def behaviour_of(sources: Sequence[str], outputs: Sequence[str], references: Sequence[Sequence[str]]) -> Behaviour:
    """How outputs look.

    Args:
        sources: what the model was given.
        outputs: what it said, one for each source.
        references: one or more of each source; the one whose length is nearest counts.

    Raises:
        ValueError: no examples, or not as many outputs or references as sources.
    """
    if not sources or not len(sources) == len(outputs) == len(references):
        raise ValueError(f"{len(sources)} sources, {len(outputs)} outputs, {len(references)} references")
    ratios = [ratio for pair in zip(outputs, references, strict=True) if (ratio := _length_ratio(*pair)) is not None]
    copied = [_plain(source) == _plain(said) != "" for source, said in zip(sources, outputs, strict=True)]
    return Behaviour(
        length_ratio=float(np.mean(ratios)) if ratios else None,
        repetition=float(np.mean([has_loop(text) for text in outputs])),
        copies=float(np.mean(copied)),
        numbers=_share_of_numbers(sources, outputs),
        empties=float(np.mean([is_empty(text) for text in outputs])),
    )


def share_of_flips(candidate: Sequence[str], champion: Sequence[str]) -> float:
    """Share of examples, 0 to 1, to which two classifiers give different labels.

    Raises:
        ValueError: no examples, or not the same number.
    """
    if not candidate or len(candidate) != len(champion):
        raise ValueError(f"{len(candidate)} labels of the candidate, {len(champion)} of the champion")
    return float(np.mean([one != other for one, other in zip(candidate, champion, strict=True)]))


def is_empty(text: str) -> bool:
    """Whether nothing of a text can be seen: spaces of any width, joiners, controls."""
    return all(unicodedata.category(character) in INVISIBLE for character in text)


def has_loop(text: str) -> bool:
    """Whether a block of words, or of characters whatever the spaces, follows itself so often that it is a loop."""
    words = WORDS.findall(text.casefold())
    return _loops(words, MIN_LOOP_WORDS) or _loops("".join(text.split()), MIN_LOOP_CHARACTERS)


def numbers_of(text: str) -> Counter[str]:
    """The numbers of a text by their digits as 0 to 9, without what groups them or begins a fraction."""
    found = NUMBER.findall(text)
    return Counter("".join(str(unicodedata.decimal(sign)) for sign in one if sign.isdecimal()) for one in found)


def _loops(parts: Sequence[str], least: int) -> bool:
    """Whether a block is there `MIN_COPIES` times in a row, on `least` parts or more."""
    numbers: dict[str, int] = {}
    ids = np.array([numbers.setdefault(part, len(numbers)) for part in parts], dtype=np.int64)
    longest = min(LONGEST_BLOCK, len(ids) // MIN_COPIES)
    return any(
        _longest_run(ids[size:] == ids[:-size]) + size >= max(MIN_COPIES * size, least)
        for size in range(1, longest + 1)
    )


def _longest_run(equal: npt.NDArray[np.bool_]) -> int:
    """Of values that are true, the most in a row."""
    ends = np.flatnonzero(~equal)
    return int(np.diff(ends, prepend=-1, append=len(equal)).max()) - 1


def _length_ratio(output: str, references: Sequence[str]) -> float | None:
    length = 0 if is_empty(output) else num_units(output)
    lengths = [num_units(text) for text in references if not is_empty(text)]
    return min((length / num for num in lengths), key=lambda ratio: abs(ratio - 1), default=None)


def _share_of_numbers(sources: Sequence[str], outputs: Sequence[str]) -> float | None:
    wanted, said = map(numbers_of, sources), map(numbers_of, outputs)
    counts = [(one.total(), (one & other).total()) for one, other in zip(wanted, said, strict=True)]
    num_wanted, num_kept = map(sum, itertools.zip_longest(*counts))
    return num_kept / num_wanted if num_wanted else None


def _plain(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text).split())
