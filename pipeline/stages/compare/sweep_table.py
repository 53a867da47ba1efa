"""The table of two sweeps: a line a student, the means over its seeds, the students that only one sweep has."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from pipeline.evaluation.comparison import Comparison
from pipeline.stages.compare.predictions import interval
from pipeline.stages.compare.settings_and_cost import Measures, written


@dataclass(frozen=True, kw_only=True)
class Row:
    """A student, or the teacher, of both sweeps."""

    name: str
    group: str  # the same for all seeds of a student
    runs: tuple[str, str]
    headline: Comparison
    results: list[Comparison]
    measures: tuple[Measures, Measures]


@dataclass(frozen=True, kw_only=True)
class Means:
    """The means over the seeds of one student: headline, size, speed."""

    group: str
    num_seeds: int
    first: float
    second: float
    measures: tuple[Measures, Measures]


@dataclass(frozen=True, kw_only=True)
class Alone:
    """A student that only one sweep has; its score is that of the headline."""

    name: str
    run_id: str
    score: float | None
    measures: Measures


def means_over_seeds(rows: Sequence[Row]) -> list[Means]:
    """Those of every group of several rows; rows of a group follow each other."""
    groups = [(group, list(several)) for group, several in groupby(rows, key=lambda row: row.group)]
    return [
        Means(
            group=group,
            num_seeds=len(several),
            first=statistics.fmean(row.headline.first for row in several),
            second=statistics.fmean(row.headline.second for row in several),
            measures=(_means([row.measures[0] for row in several]), _means([row.measures[1] for row in several])),
        )
        for group, several in groups
        if len(several) > 1
    ]


def _means(several: list[Measures]) -> Measures:
    """The means of what all of them have."""
    names = set.intersection(*(set(measured) for measured in several))
    return {name: statistics.fmean(measured[name] for measured in several) for name in sorted(names)}


def table_of_sweeps(
    headline: str, rows: Sequence[Row], means: Sequence[Means], only: tuple[Sequence[Alone], Sequence[Alone]]
) -> list[list[str]]:
    """Header and lines as text; the means of a group stand below its rows.

    Args:
        headline: name of the score.
        rows: what both sweeps have, rows of a group one after the other.
        means: those of groups of several rows.
        only: the students that only the first and only the second sweep has.
    """
    scores, costs = (f"{headline} A", f"{headline} B", "difference"), ("MiB A", "MiB B", "faster A", "faster B")
    lines = [["student", *scores, "95 %", "p", *costs]]
    of_group = {mean.group: mean for mean in means}
    for group, several in groupby(rows, key=lambda row: row.group):
        for row in several:
            chance = [interval(row.headline), f"{row.headline.p_value:.3f}"]
            lines.append([row.name, *_scores(row.headline.first, row.headline.second), *chance, *_costs(*row.measures)])
        if mean := of_group.get(group):
            name = f"{group}, mean of {mean.num_seeds} seeds"
            lines.append([name, *_scores(mean.first, mean.second), "-", "-", *_costs(*mean.measures)])
    nothing: Measures = {}
    for student in only[0]:
        cells = [*_scores(student.score, None), "-", "-", *_costs(student.measures, nothing)]
        lines.append([f"{student.name} (only A)", *cells])
    for student in only[1]:
        cells = [*_scores(None, student.score), "-", "-", *_costs(nothing, student.measures)]
        lines.append([f"{student.name} (only B)", *cells])
    return lines


def _scores(first: float | None, second: float | None) -> list[str]:
    difference = "-" if first is None or second is None else f"{second - first:+.2f}"
    return [*("-" if score is None else f"{score:.2f}" for score in (first, second)), difference]


def _costs(first: Measures, second: Measures) -> list[str]:
    return [written(measured, name) for name in ("size_bytes", "speed_ratio") for measured in (first, second)]
