"""How tonight's data differ from those of the night before, in numbers for a table; nothing is refused for them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from pipeline.retraining.pairs import Pairs
from pipeline.retraining.shifts import length_distance, total_variation
from pipeline.retraining.words import known_when_left_out, known_words, lengths_of

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
DISTANCE, KNOWN, VARIATION = "_lengths_distance", "_words_known", "labels_variation"
# What says nothing where there is nothing to compare with.
COMPARISONS = {VARIATION, *(f"{column}{end}" for column in ("source", "target") for end in (DISTANCE, KNOWN))}


@dataclass(frozen=True, kw_only=True)
class Drift:
    """A number of both nights.

    Args:
        key: what a metric of it is called; empty: there may be any number of its kind, so it is none.
        name: what it is, with its unit.
        reference: in the reference data; none: unknown, or a distance between both.
        new: in new data; none: unknown.
    """

    key: str
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

    def metrics(self) -> dict[str, float]:
        """Tonight's numbers that are known, by their keys."""
        return {one.key: float(one.new) for one in self.numbers if one.key and one.new is not None}

    def with_quality(self, new: float | None, reference: float | None) -> DriftReport:
        """The same with one number more.

        Args:
            new: quality of the model in use on new data, in the unit of its metric; none: not measured.
            reference: the same on reference data.
        """
        quality = Drift(key="champion_quality", name="quality of the champion", reference=reference, new=new)
        return DriftReport(numbers=(*self.numbers, quality))


def drift_of(new: Pairs, reference: Pairs | None, has_labels: bool) -> DriftReport:
    """Compare two nights.

    Args:
        new: tonight's examples.
        reference: those of the last accepted night; none: there was none, and new numbers stand alone.
        has_labels: whether targets are labels.
    """
    before = Pairs([], []) if reference is None else reference
    numbers = [Drift(key="examples", name="examples", reference=len(before), new=len(new))]
    numbers += _of_texts("source", new.sources, before.sources)
    numbers += (_of_labels if has_labels else _of_targets)(new.targets, before.targets)
    if reference is None:
        numbers = [replace(one, reference=None) for one in numbers if one.key not in COMPARISONS]
    return DriftReport(numbers=tuple(numbers))


def _of_texts(column: str, new: Sequence[str], reference: Sequence[str]) -> list[Drift]:
    """Lengths, their distance, and which words were known; reference texts are each compared with the others."""
    numbers = []
    for quantile in QUANTILES:
        before, now = (_quantile(texts, quantile) for texts in (reference, new))
        name, key = f"{column} words, {quantile:.0%} quantile", f"{column}_words_{round(100 * quantile)}_percent"
        numbers.append(Drift(key=key, name=name, reference=before, new=now))
    own, known = known_when_left_out(reference), known_words(new, reference)
    return [
        *numbers,
        Drift(
            key=f"{column}{DISTANCE}",
            name=f"{column} lengths, Kolmogorov-Smirnov distance",
            reference=None,
            new=length_distance(new, reference),
        ),
        Drift(key=f"{column}{KNOWN}", name=f"{column} words known before, share", reference=own, new=known),
    ]


def _of_targets(new: Sequence[str], reference: Sequence[str]) -> list[Drift]:
    return _of_texts("target", new, reference)


def _of_labels(new: Sequence[str], reference: Sequence[str]) -> list[Drift]:
    """The shares of labels, and how far they are apart."""
    counts, before = Counter(new), Counter(reference)
    numbers = [
        Drift(
            key="",
            name=f"label {label}, share",
            reference=before[label] / max(1, len(reference)),
            new=counts[label] / max(1, len(new)),
        )
        for label in sorted(counts.keys() | before.keys())
    ]
    variation = total_variation(counts, before)
    return [*numbers, Drift(key=VARIATION, name="labels, total variation", reference=None, new=variation)]


def _quantile(texts: Sequence[str], quantile: float) -> float | None:
    return float(np.quantile(lengths_of(texts), quantile)) if texts else None
