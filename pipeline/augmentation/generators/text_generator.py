"""A generator of texts from ways to rewrite them: what comes out is new, tells its origin, and is the same again."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from pipeline.augmentation.examples import Origin, TextExample, id_of
from pipeline.augmentation.generators.rewriter import Draft, Rewriter, Rewritten

ATTEMPTS = 4  # times as many drafts as are asked for, before less is accepted


@dataclass(frozen=True, kw_only=True)
class GeneratorCounts:
    """What became of the drafts of one way to rewrite.

    Args:
        asked: texts that were asked for.
        made: those that came out; fewer is no error.
        impossible: drafts of which nothing could be made, such as one word less of one word.
        unchanged: drafts that came back as the parent.
        repeated: drafts that equal another text of the round.
        known: drafts that equal a text that was known before.
    """

    asked: int
    made: int
    impossible: int
    unchanged: int
    repeated: int
    known: int


@dataclass(frozen=True, kw_only=True)
class Generation:
    """What was generated in a round.

    Args:
        children: by rewriter, by id of the parent.
        counts: of each rewriter by its name.
    """

    children: tuple[TextExample, ...]
    counts: Mapping[str, GeneratorCounts]


class TextGenerator:
    """Examples near others, by one or several ways to rewrite texts.

    A child depends on seed, round, parent and rewriter; the order of the points changes nothing, not even the order of
    what comes out. A text comes out once: not if it equals its parent, is known, or was made before in this round or
    an earlier one, whether or not it was used.

    Args:
        rewriters: ways to rewrite, with different names; where two make the same text the first keeps it.
        num_per_point: children that each of them makes of a parent, if it can.
        seed: start of all randomness.
        known: ids of texts that are there already, as those of the training set.

    Raises:
        ValueError: two rewriters have the same name.
    """

    def __init__(
        self, rewriters: Sequence[Rewriter], *, num_per_point: int, seed: int, known: Collection[str] = frozenset()
    ) -> None:
        if len({rewriter.name for rewriter in rewriters}) < len(rewriters):
            raise ValueError(f"two of one name among {[rewriter.name for rewriter in rewriters]}")
        self._rewriters, self._num_per_point, self._seed = tuple(rewriters), num_per_point, seed
        self._known = frozenset(known)
        self._made_in: dict[int, frozenset[str]] = {}

    def __call__(self, round_number: int, points: Sequence[TextExample]) -> Sequence[TextExample]:
        """See `agora.Generator`."""
        return self.generate(round_number, points).children

    def generate(self, round_number: int, points: Sequence[TextExample]) -> Generation:
        """New texts near points, and what became of the drafts.

        Args:
            round_number: what was made in earlier ones is known; the same round again gives the same.
            points: parents; of several with the same texts the first counts.
        """
        parents = {point.id: point for point in reversed(points)}
        ordered = [parents[one] for one in sorted(parents)]
        earlier = [made for number, made in self._made_in.items() if number < round_number]
        known, children, counts = self._known.union(parents, *earlier), list[TextExample](), {}
        for rewriter in self._rewriters:
            batch = _Batch(rewriter, self._num_per_point, known, {child.id for child in children})
            batch.fill(ordered, f"{self._seed}:{round_number}")
            counts[rewriter.name] = batch.counts()
            children += [_child(made, parents[one], rewriter, round_number) for one, made in batch.accepted()]
        self._made_in[round_number] = frozenset(child.id for child in children)
        return Generation(children=tuple(children), counts=counts)


class _Batch:
    """What one rewriter makes of the parents of a round."""

    def __init__(self, rewriter: Rewriter, num_per_point: int, known: frozenset[str], taken: set[str]) -> None:
        self._rewriter, self._num_per_point, self._known, self._taken = rewriter, num_per_point, known, taken
        self._made: dict[str, list[Rewritten]] = {}
        self._impossible = set[str]()
        self._reasons = Counter[str]()

    def fill(self, parents: Sequence[TextExample], seed: str) -> None:
        """Ask for as many as are missing, again and again, but not for ever."""
        self._made = {parent.id: [] for parent in parents}
        num_asked = 0
        for _ in range(ATTEMPTS if self._rewriter.is_random else 1):
            lacking = [parent for parent in parents if self._is_lacking(parent.id)]
            num_each = self._num_per_point if self._rewriter.is_random else 1
            drafts = [
                Draft(parent=parent, random=random.Random(f"{seed}:{self._rewriter.name}:{parent.id}:{number}"))
                for number in range(num_asked, num_asked + num_each)
                for parent in lacking
            ]
            num_asked += num_each
            if drafts:
                for draft, made in zip(drafts, self._rewriter(drafts, parents), strict=True):
                    self._take(draft.parent.id, made)

    def accepted(self) -> list[tuple[str, Rewritten]]:
        """What is new, with the id of its parent."""
        return [(parent, made) for parent, all_made in self._made.items() for made in all_made]

    def counts(self) -> GeneratorCounts:
        """What became of all drafts."""
        return GeneratorCounts(
            asked=len(self._made) * self._num_per_point,
            made=sum(map(len, self._made.values())),
            impossible=self._reasons["impossible"],
            unchanged=self._reasons["unchanged"],
            repeated=self._reasons["repeated"],
            known=self._reasons["known"],
        )

    def _is_lacking(self, parent: str) -> bool:
        return parent not in self._impossible and len(self._made[parent]) < self._num_per_point

    def _take(self, parent: str, made: Rewritten | None) -> None:
        name = None if made is None else id_of(made.texts)
        if made is None or not any(text and text.strip() for text in made.texts):
            self._reasons["impossible"] += 1
            self._impossible.add(parent)
        elif name == parent:
            self._reasons["unchanged"] += 1
        elif name in self._known:
            self._reasons["known"] += 1
        elif name in self._taken:
            self._reasons["repeated"] += 1
        elif len(self._made[parent]) < self._num_per_point:
            self._taken.add(str(name))
            self._made[parent].append(made)


def _child(made: Rewritten, parent: TextExample, rewriter: Rewriter, round_number: int) -> TextExample:
    origin = Origin(
        generator=rewriter.name,
        round_number=round_number,
        parent_id=parent.id,
        parent_source=parent.source,
        parent_second=parent.second,
        parent_target=parent.target,
        mixed_with=made.mixed_with,
    )
    return TextExample(source=made.texts.source, second=made.texts.second, origin=origin)
