"""Models as points in a plane of cost and quality, and which of them no other beats."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pipeline.report.results import MIB, Results, Row

# Told apart on screen and paper; grey and black are for what is no student.
COLOURS = (
    "#1f77b4",
    "#d62728",
    "#2ca02c",
    "#ff7f0e",
    "#9467bd",
    "#17becf",
    "#8c564b",
    "#e377c2",
    "#9aa516",
    "#0b3c5d",
    "#b8860b",
    "#00a087",
)
SHAPES = (("circle", "o"), ("square", "s"), ("diamond", "D"), ("triangle-up", "^"), ("x", "X"))  # plotly, matplotlib
DASHES = (("solid", "-"), ("dash", "--"), ("dot", ":"))
TEACHER_COLOUR, GREY = "#111111", "#8a8f98"


@dataclass(frozen=True, kw_only=True)
class Style:
    """How a student looks, the same in every plot: colours first, then other shapes and dashes."""

    index: int
    label: str

    @property
    def colour(self) -> str:
        """As hexadecimal RGB."""
        return COLOURS[self.index % len(COLOURS)]

    @property
    def shape(self) -> tuple[str, str]:
        """The name of its marker in plotly and in matplotlib."""
        return SHAPES[self.index // len(COLOURS) % len(SHAPES)]

    @property
    def dash(self) -> tuple[str, str]:
        """The name of its line in plotly and in matplotlib."""
        return DASHES[self.index // len(COLOURS) % len(DASHES)]


@dataclass(frozen=True, kw_only=True)
class Axis:
    """A cost of a model: how it is read from a row, in which unit it is drawn."""

    name: str
    title: str
    value: Callable[[Row], float | None]
    log: bool


SIZE = Axis(
    name="size",
    title="weights on disk, MiB",
    value=lambda row: None if row.size_bytes is None else row.size_bytes / MIB,
    log=True,
)
LATENCY = Axis(
    name="latency",
    title="median time of one sequence, ms",
    value=lambda row: row.latency_p50_ms,
    log=False,
)


@dataclass(frozen=True, kw_only=True)
class Point:
    """A model in a plot; several seeds of a student are one point, their mean, with their runs beside it.

    Args:
        name: what is written at it.
        key: as `Row.key`.
        x: the cost, in the unit of the axis.
        score: the headline, in percent.
        low: lower end of the error bar, none where there is no interval.
        high: its upper end.
        rows: the models it stands for.
    """

    name: str
    key: str
    x: float
    score: float
    low: float | None
    high: float | None
    rows: Sequence[Row]

    @property
    def is_teacher(self) -> bool:
        """Whether it is the teacher."""
        return self.rows[0].kind == "teacher"

    @property
    def bar(self) -> tuple[float, float] | None:
        """How far the error bar reaches below and above the score; none where there is no interval.

        sacrebleu's interval lies around the mean of its resamples: of few sentences the score itself may be outside.
        """
        if self.low is None or self.high is None:
            return None
        return max(0.0, self.score - self.low), max(0.0, self.high - self.score)


def styles(results: Results) -> dict[str, Style]:
    """The look of every student, by `Row.key`."""
    labels = {row.key: row.label for row in results.rows if row.kind == "student"}
    return {key: Style(index=index, label=label) for index, (key, label) in enumerate(labels.items())}


def points(results: Results, axis: Axis) -> list[Point]:
    """Teacher and finished students whose cost is known."""
    groups: dict[str, list[Row]] = {}
    for row in [*results.of_kind("teacher"), *results.of_kind("student")]:
        if axis.value(row) is not None and results.headline in row.scores:
            groups.setdefault(row.key, []).append(row)
    return [_point(key, rows, results.headline, axis) for key, rows in groups.items()]


def _point(key: str, rows: list[Row], headline: str, axis: Axis) -> Point:
    score = statistics.fmean(row.scores[headline] for row in rows)
    ends = rows[0].interval(headline)
    if len(rows) > 1:  # what seeds differ by says more than the interval of any one of them
        spread = statistics.stdev(row.scores[headline] for row in rows)
        ends = (score - spread, score + spread)
    return Point(
        name=rows[0].label if len(rows) > 1 else rows[0].name,
        key=key,
        x=statistics.fmean(value for row in rows if (value := axis.value(row)) is not None),
        score=score,
        low=None if ends is None else ends[0],
        high=None if ends is None else ends[1],
        rows=rows,
    )


def pareto_front(given: Sequence[Point]) -> list[Point]:
    """The points that no other dominates (costs no more, is no worse, and one of both is better), cheapest first."""
    front: list[Point] = []
    for point in sorted(given, key=lambda point: (point.x, -point.score)):
        best = front[-1] if front else None
        if best is None or point.score > best.score or (point.score, point.x) == (best.score, best.x):
            front.append(point)
    return front
