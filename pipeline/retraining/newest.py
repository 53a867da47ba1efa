"""Which of tonight's examples are new, and which of those are held out to score on."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass

from pipeline.config.errors import UserError
from pipeline.retraining.pairs import Pairs, digest_of, normalised


@dataclass(frozen=True, kw_only=True)
class Newest:
    """Places of tonight's examples; no place is in two of them.

    Args:
        known: those that the last accepted night had, too.
        training: new ones to train on, each once.
        held_out: new ones to score on, each once.
        digests: of all of tonight's examples, to be kept for the next night.
    """

    known: tuple[int, ...]
    training: tuple[int, ...]
    held_out: tuple[int, ...]
    digests: frozenset[str]


def newest(pairs: Pairs, known: Collection[str], share: float, most: int) -> Newest:
    """Part tonight's examples.

    Whether a new example is held out follows from its source alone, so that it is the same every night and on every
    machine, and no source is on both sides. Where more would be held out than wanted, those with the least digests
    are; the rest is trained on.

    Args:
        pairs: tonight's examples.
        known: digests of those of the last accepted night.
        share: of new sources that is held out, 0 to 1.
        most: largest number of examples that are.

    Raises:
        UserError: a share that is none, a negative number.
    """
    if not 0 <= share <= 1 or most < 0:
        raise UserError(f"share={share}, most={most}", "a share from 0 to 1, a number from 0 on", "set them so")
    before = frozenset(known)
    digests = [digest_of(source, target) for source, target in zip(pairs.sources, pairs.targets, strict=True)]
    first = {digest: place for place, digest in reversed(list(enumerate(digests)))}
    new = sorted(place for digest, place in first.items() if digest not in before)
    held_out = _held_out(pairs, new, share, most)
    return Newest(
        known=tuple(place for place, digest in enumerate(digests) if digest in before),
        training=tuple(place for place in new if place not in held_out),
        held_out=tuple(sorted(held_out)),
        digests=frozenset(digests),
    )


def drawn(source: str) -> float:
    """A number from 0 to below 1 that follows from a normalised source alone; sources are spread evenly."""
    digest = hashlib.sha256(b"held out\n" + normalised(source).encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:6], "big") / 2**48  # exact in a float, and below 1


def _held_out(pairs: Pairs, new: list[int], share: float, most: int) -> set[int]:
    """The places that are held out: of every source all of its new examples or none."""
    by_draw: dict[float, list[int]] = defaultdict(list)
    for place in new:
        if (number := drawn(pairs.sources[place])) < share:
            by_draw[number].append(place)
    chosen: set[int] = set()
    for _, places in sorted(by_draw.items()):
        if len(chosen) + len(places) > most:
            break
        chosen.update(places)
    return chosen
