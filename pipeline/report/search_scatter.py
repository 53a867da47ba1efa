"""A plot of error against a cost before it is drawn: its points, its vertical lines, and where there is room for names.

Static and interactive pictures are drawn from it alike.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.report.curves import WIDE_RANGE
from pipeline.report.search_costs import (
    CostAxis,
    Front,
    candidate_of,
    inference_axis,
    known_costs,
    marked,
    scored,
    size_axis,
)
from pipeline.report.search_numbers import counted, shortened
from pipeline.report.search_results import SearchPoint, SearchResults

CHARACTER_WIDTH, LINE_HEIGHT = 0.013, 0.05  # of what is written in the plot, as parts of its width and height
MARKER_WIDTH, MARKER_HEIGHT = 0.012, 0.02  # half of a point's
LOG_FROM = 8.0  # the largest cost over the smallest from which an axis is logarithmic
MAX_BARS = 60  # of more points only the named ones show how sure their numbers are
# Where a text may stand beside its point, best first: to the right or left, above or below, as parts of its extent.
POSITIONS = {
    "top center": (0, 1),
    "top right": (1, 1),
    "top left": (-1, 1),
    "middle right": (1, 0),
    "middle left": (-1, 0),
    "bottom center": (0, -1),
    "bottom right": (1, -1),
    "bottom left": (-1, -1),
}


@dataclass(frozen=True, kw_only=True)
class Scale:
    """An axis: its ends, which are logarithms to the base 10 where it is logarithmic."""

    low: float
    high: float
    is_log: bool

    def place(self, value: float) -> float:
        """Where a value lies, 0 and 1 at the ends."""
        return ((math.log10(value) if self.is_log else value) - self.low) / (self.high - self.low)

    @property
    def ends(self) -> tuple[float, float]:
        """As values."""
        return (10**self.low, 10**self.high) if self.is_log else (self.low, self.high)


@dataclass(frozen=True, kw_only=True)
class Dot:
    """A candidate with a cost and an error.

    Args:
        point: the candidate.
        x: the cost in the unit of the axis.
        error: at its last step.
        shade: the other cost, in its unit; none where it is not known.
        is_front: whether it is on the Pareto front.
        x_interval: of a time.
        spread: of the error.
        is_predicted: whether one of the two costs is a prediction of the latency model.
    """

    point: SearchPoint
    x: float
    error: float
    shade: float | None
    is_front: bool
    x_interval: tuple[float, float] | None
    spread: float | None
    is_predicted: bool

    @property
    def x_bar(self) -> tuple[float, float] | None:
        """How far the bar of the time reaches to the left and to the right."""
        if self.x_interval is None:
            return None
        return max(0.0, self.x - self.x_interval[0]), max(0.0, self.x_interval[1] - self.x)


@dataclass(frozen=True, kw_only=True)
class Label:
    """What is written beside a point: its number on the front, or what it is besides."""

    text: str
    dot: Dot
    position: str


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A vertical line with its name above the plot: T, an architecture that has costs alone, a limit.

    Args:
        text: what is written at it.
        x: the cost; where `arrow` is given it lies outside of the plot.
        row: of the name, counted upwards.
        arrow: which way it lies outside.
        is_limit: whether what lies to the right costs too much.
    """

    text: str
    x: float
    row: int
    arrow: str
    is_limit: bool


@dataclass(frozen=True, kw_only=True)
class SearchScatter:
    """A plot of error against a cost.

    Args:
        axis: the cost.
        shade: the cost that colours stand for; none where candidates do not differ in it.
        dots: the candidates, those of the front last.
        labels: as many as there is room for.
        rings: group of `search_looks.LOOKS` -> the dots that have a sign of their own, the most important group last.
        rules: the vertical lines.
        x: the scale of the cost.
        y: that of the error.
    """

    axis: CostAxis
    shade: CostAxis | None
    dots: Sequence[Dot]
    labels: Sequence[Label]
    rings: dict[str, list[Dot]]
    rules: Sequence[Rule]
    x: Scale
    y: Scale

    @property
    def with_bars(self) -> list[Dot]:
        """The dots that show how sure their numbers are."""
        if len(self.dots) <= MAX_BARS:
            return list(self.dots)
        named = {label.dot.point.name for label in self.labels}
        return [dot for dot in self.dots if dot.point.name in named]

    @property
    def shades(self) -> Scale:
        """The scale of colours."""
        values = [dot.shade for dot in self.dots if dot.shade is not None]
        return _scale(values, room=0.0)


def search_scatters(results: SearchResults, front: Front) -> dict[str, SearchScatter]:
    """Name of the plot -> the plots against size and against time, those there is something to draw in."""
    size, inference = size_axis(results), inference_axis(results)
    drawn = {}
    for axis, shade in ((size, inference), (inference, size)):
        scatter = search_scatter(results, front, axis, shade)
        if scatter is not None:
            drawn[f"error_vs_{axis.name}"] = scatter
    return drawn


def search_scatter(results: SearchResults, front: Front, axis: CostAxis, shade: CostAxis) -> SearchScatter | None:
    """The plot against a cost, coloured by another; none where no candidate has that cost and an error."""
    dots = _dots(results, front, axis, shade)
    if not dots:
        return None
    x = _scale([dot.x for dot in dots], room=0.06, is_log=axis.is_log)
    rules = _rules(results, axis, x, {dot.point.name for dot in dots})
    x = _widened(x, [rule.x for rule in rules if not rule.arrow])
    ends = [
        value for dot in dots for value in (dot.error, dot.error - (dot.spread or 0), dot.error + (dot.spread or 0))
    ]
    errors = [dot.error for dot in dots]
    is_wide = min(errors) > 0 and max(errors) > WIDE_RANGE * sorted(errors)[len(errors) // 2]
    y = _scale(errors if is_wide else ends, room=0.1, is_log=is_wide)
    return SearchScatter(
        axis=axis,
        shade=shade if len({dot.shade for dot in dots} - {None}) > 1 else None,
        dots=dots,
        labels=_labels(results, front, dots, x, y),
        rings=_rings(results, dots),
        rules=_in_rows(rules, x),
        x=x,
        y=y,
    )


def _dots(results: SearchResults, front: Front, axis: CostAxis, shade: CostAxis) -> list[Dot]:
    dots = []
    for point in scored(results):
        x, error, other = axis.of(known_costs(point)), point.error, shade.of(known_costs(point))
        if x is not None and error is not None:
            dots.append(
                Dot(
                    point=point,
                    x=x,
                    error=error,
                    shade=other,
                    is_front=point.name in front.numbers,
                    x_interval=point.latency_interval_ms if axis.name == "latency" else None,
                    spread=point.error_spread,
                    is_predicted=point.latency_ms is not None and not point.is_measured,
                )
            )
    return sorted(dots, key=lambda dot: dot.is_front)


def _rings(results: SearchResults, dots: Sequence[Dot]) -> dict[str, list[Dot]]:
    """Those there is something of."""
    named = {name for name in marked(results) if name not in (results.best, results.optimum)}
    groups = {"named": named, "chosen": results.chosen, "optimum": [results.optimum], "answer": [results.best]}
    found = {group: [dot for dot in dots if dot.point.name in names] for group, names in groups.items()}
    return {group: mine for group, mine in found.items() if mine}


def _scale(values: Sequence[float], *, room: float, is_log: bool | None = None) -> Scale:
    """One that shows the values with so much room at either end; logarithmic where they are far apart, if not told."""
    low, high = min(values), max(values)
    log = low > 0 and (high > LOG_FROM * low if is_log is None else is_log)
    if log:
        low, high = math.log10(low), math.log10(high)
    width = high - low or (0.5 if log else abs(high) or 1.0)
    if high == low:
        low, high = low - width / 2, high + width / 2
    return Scale(low=low - room * width, high=high + room * width, is_log=log)


def _widened(scale: Scale, values: Sequence[float]) -> Scale:
    """The scale with room for these values, too."""
    places = [scale.place(value) for value in values]
    width, room = scale.high - scale.low, 0.03
    low = min([0.0, *(place - room for place in places)])
    high = max([1.0, *(place + room for place in places)])
    return Scale(low=scale.low + low * width, high=scale.low + high * width, is_log=scale.is_log)


def _rules(results: SearchResults, axis: CostAxis, x: Scale, drawn: set[str]) -> list[Rule]:
    """A line further away than the plot is wide would squeeze the points: it is only pointed at."""
    found: dict[float, list[str]] = {}
    maximum, limit = axis.of(results.maximum), results.limits.get(axis.limit)
    if maximum is not None:
        found.setdefault(maximum, []).append("T")
    for name, costs in results.named.items():
        candidate, value = candidate_of(name, costs, results.points), axis.of(costs)
        if value is not None and (candidate is None or candidate.name not in drawn):
            found.setdefault(value, []).append(shortened(name))
    rules = [(value, ", ".join(names), False) for value, names in found.items()]
    rules += [(limit, f"at most {counted(limit)} {axis.short}", True)] if limit is not None else []
    lines = []
    for value, text, is_limit in rules:
        place = x.place(value) if value > 0 or not x.is_log else -2.0
        arrow = "←" if place < -1 else "→" if place > 2 else ""
        said = text if is_limit or not arrow else f"{text} {counted(value)}"
        written = {"": said, "←": f"← {said}", "→": f"{said} →"}[arrow]
        lines.append(Rule(text=written, x=value, row=0, arrow=arrow, is_limit=is_limit))
    return lines


def anchor(rule: Rule, x: Scale) -> tuple[float, str]:
    """Where the name of a line stands, as a part of the width, and which end of it: left, center or right."""
    place = 0.0 if rule.arrow == "←" else 1.0 if rule.arrow == "→" else x.place(rule.x)
    half = CHARACTER_WIDTH * len(rule.text) / 2
    return place, "left" if place < half else "right" if place > 1 - half else "center"


def _in_rows(rules: Sequence[Rule], x: Scale) -> list[Rule]:
    """Names that would cover one another stand in rows above one another."""
    placed: list[Rule] = []
    taken: list[tuple[float, float, int]] = []
    for rule in sorted(rules, key=lambda rule: rule.x):
        place, end = anchor(rule, x)
        width = CHARACTER_WIDTH * (len(rule.text) + 1)
        left = place - {"left": 0.0, "center": 0.5, "right": 1.0}[end] * width
        rows = {row for other_left, other_right, row in taken if left < other_right and other_left < left + width}
        row = next(row for row in range(len(rules)) if row not in rows)
        taken.append((left, left + width, row))
        placed.append(Rule(text=rule.text, x=rule.x, row=row, arrow=rule.arrow, is_limit=rule.is_limit))
    return placed


def _labels(results: SearchResults, front: Front, dots: Sequence[Dot], x: Scale, y: Scale) -> list[Label]:
    """Answer and optimum first, then the front from cheap to dear; a number without room is left out."""
    marks, numbers = marked(results), front.numbers
    by_name = {dot.point.name: dot for dot in dots}
    spots = [(x.place(dot.x), y.place(dot.error)) for dot in dots]
    taken: list[tuple[float, float, float, float]] = []
    labels = []
    for name in [*marks, *(point.name for point in front.points if point.name not in marks)]:
        if name not in by_name:
            continue
        number = [str(numbers[name])] if name in numbers else []
        text = ", ".join([*number, *(shortened(mark) for mark in marks.get(name, ()))])
        spot = (x.place(by_name[name].x), y.place(by_name[name].error))
        found = _room(text, spot, spots, taken)
        if found is not None or name in marks:
            position, box = found or ("top center", _box(text, spot, "top center"))
            taken.append(box)
            labels.append(Label(text=text, dot=by_name[name], position=position))
    return labels


def _box(text: str, spot: tuple[float, float], position: str) -> tuple[float, float, float, float]:
    """Left, right, lower and upper end of a text beside a point."""
    side, level = POSITIONS[position]
    width, gap = CHARACTER_WIDTH * len(text), MARKER_WIDTH * (1 if level == 0 else 0.7)
    left = spot[0] - width / 2 + side * (width / 2 + gap)
    low = spot[1] - LINE_HEIGHT / 2 + level * (LINE_HEIGHT / 2 + MARKER_HEIGHT)
    return left, left + width, low, low + LINE_HEIGHT


def _room(
    text: str,
    spot: tuple[float, float],
    spots: Sequence[tuple[float, float]],
    taken: Sequence[tuple[float, float, float, float]],
) -> tuple[str, tuple[float, float, float, float]] | None:
    """The position that covers no other text and the fewest points; none where every one covers a text."""
    best, least = None, math.inf
    for position in POSITIONS:
        left, right, low, high = box = _box(text, spot, position)
        if left < 0 or right > 1 or low < 0 or high > 1:
            continue
        if any(left < o[1] and o[0] < right and low < o[3] and o[2] < high for o in taken):
            continue
        num_covered = sum(left - MARKER_WIDTH < x < right + MARKER_WIDTH and low < y < high for x, y in spots)
        if num_covered < least:
            best, least = (position, box), num_covered
    return best
