"""How tonight's data differ from those of the night before, in numbers for a table; nothing is refused for them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.retraining.pairs import Pairs
from pipeline.retraining.shifts import length_distance, total_variation
from pipeline.retraining.words import known_when_left_out, known_words, lengths_of

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


@dataclass(frozen=True, kw_only=True)
class Drift:
    """A number of both nights.

    Args:
        name: what it is, with its unit.
        reference: in the reference data; none: unknown, or a distance between both.
        new: in new data; none: unknown.
    """

    name: str
    reference: float | None
    new: float | None

    @property
    def change(self) -> float | None:
        """New less reference; none where one is missing."""
        return None if self.reference is None or self.new is None else self.new - self.reference


@dataclass(frozen=True, kw_only=True)
class DriftReport:
    """All numbers, in the order of the table."""

    numbers: tuple[Drift, ...]

    def rows(self) -> list[dict[str, object]]:
        """A row a number: name, reference, new, change."""
        return [
            {"name": one.name, "reference": one.reference, "new": one.new, "change": one.change} for one in self.numbers
        ]


def drift_of(
    new: Pairs,
    reference: Pairs,
    has_labels: bool,
    champion_new: float | None = None,
    champion_reference: float | None = None,
) -> DriftReport:
    """Compare two nights.

    Args:
        new: tonight's examples.
        reference: those of the last accepted night.
        has_labels: whether targets are labels.
        champion_new: quality of the model in use on new data, in the unit of its metric; none: not measured.
        champion_reference: the same on reference data.
    """
    numbers = [Drift(name="examples", reference=len(reference), new=len(new))]
    numbers += _of_texts("source", new.sources, reference.sources)
    numbers += (_of_labels if has_labels else _of_targets)(new.targets, reference.targets)
    if champion_new is not None or champion_reference is not None:
        numbers.append(Drift(name="quality of the champion", reference=champion_reference, new=champion_new))
    return DriftReport(numbers=tuple(numbers))


def _of_texts(column: str, new: Sequence[str], reference: Sequence[str]) -> list[Drift]:
    """Lengths, their distance, and which words were known; reference texts are each compared with the others."""
    numbers = []
    for quantile in QUANTILES:
        before, now = (_quantile(texts, quantile) for texts in (reference, new))
        numbers.append(Drift(name=f"{column} words, {quantile:.0%} quantile", reference=before, new=now))
    distance = length_distance(new, reference)
    numbers.append(Drift(name=f"{column} lengths, Kolmogorov-Smirnov distance", reference=None, new=distance))
    own, known = known_when_left_out(reference), known_words(new, reference)
    return [*numbers, Drift(name=f"{column} words known before, share", reference=own, new=known)]


def _of_targets(new: Sequence[str], reference: Sequence[str]) -> list[Drift]:
    return _of_texts("target", new, reference)


def _of_labels(new: Sequence[str], reference: Sequence[str]) -> list[Drift]:
    """The shares of labels, and how far they are apart."""
    counts, before = Counter(new), Counter(reference)
    numbers = [
        Drift(
            name=f"label {label}, share",
            reference=before[label] / max(1, len(reference)),
            new=counts[label] / max(1, len(new)),
        )
        for label in sorted(counts.keys() | before.keys())
    ]
    return [*numbers, Drift(name="labels, total variation", reference=None, new=total_variation(counts, before))]


def _quantile(texts: Sequence[str], quantile: float) -> float | None:
    return float(np.quantile(lengths_of(texts), quantile)) if texts else None
