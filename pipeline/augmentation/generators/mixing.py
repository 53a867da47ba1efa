"""Two near texts are cut, and the beginning of one is joined to the end of the other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from pipeline.augmentation.examples import TextExample, Texts
from pipeline.augmentation.generators.rewriter import Draft, Rewritten
from pipeline.augmentation.words import Word, parts_of, texts_of


@dataclass(frozen=True, kw_only=True)
class Mixing:
    """Joins the beginning of a parent to the end of one of its neighbours, whatever their labels are.

    Near is who has many of the same words for the number of all (Jaccard's index). Of pairs the first texts are mixed
    with each other and so are the second, cut at the same fraction.

    Args:
        num_neighbours: among how many of the nearest the other one is drawn.
        least: fraction of its words that the parent gives at least; the other one gives this at least, too.
    """

    num_neighbours: int = 5
    least: float = 0.25
    name: str = "mixing"
    is_random: bool = True

    def __call__(self, drafts: Sequence[Draft], points: Sequence[TextExample]) -> list[Rewritten | None]:
        """See `Rewriter`; who has no words in common with anybody has no neighbours."""
        neighbours = _Neighbours(points)
        return [self._rewritten(draft, neighbours.of(draft.parent, self.num_neighbours)) for draft in drafts]

    def _rewritten(self, draft: Draft, neighbours: Sequence[TextExample]) -> Rewritten | None:
        if not neighbours:
            return None
        other, cut = draft.random.choice(neighbours), draft.random.uniform(self.least, 1 - self.least)
        pairs = zip(parts_of(draft.parent.texts), parts_of(other.texts), strict=True)
        return Rewritten(texts=texts_of([_joined(*pair, cut) for pair in pairs]), mixed_with=other.id)


class _Neighbours:
    """Who is near to whom among points, found through the words that they share."""

    def __init__(self, points: Sequence[TextExample]) -> None:
        self._points = sorted(points, key=lambda point: point.id)
        self._words = [_words_of(point.texts) for point in self._points]
        self._num_words = np.array(list(map(len, self._words)))
        self._are_pairs = np.array([point.second is not None for point in self._points])
        self._number_of = {point.id: number for number, point in enumerate(self._points)}
        having = defaultdict[str, list[int]](list)
        for number, words in enumerate(self._words):
            for word in words:
                having[word].append(number)
        self._having = {word: np.array(numbers) for word, numbers in having.items()}
        self._nearest = cache(self._find)

    def of(self, point: TextExample, num: int) -> list[TextExample]:
        """Others that share words with a point, the nearest first; pairs for a pair, single texts for a single one."""
        return [self._points[number] for number in self._nearest(self._number_of[point.id], num)]

    def _find(self, number: int, num: int) -> list[int]:
        numbers = [self._having[word] for word in self._words[number]]
        shared = np.bincount(np.concatenate(numbers or [np.array([], int)]), minlength=len(self._points))
        index = shared / np.maximum(1, self._num_words[number] + self._num_words - shared)
        index[number] = 0
        index[self._are_pairs != self._are_pairs[number]] = 0
        order = np.argsort(-index, kind="stable")[:num]
        return [int(other) for other in order if index[other] > 0]


def _words_of(texts: Texts) -> set[str]:
    return {word.text for words in parts_of(texts) for word in words}


def _joined(first: Sequence[Word], second: Sequence[Word], cut: float) -> list[Word]:
    return [*first[: round(cut * len(first))], *second[round(cut * len(second)) :]]
