"""A plot of quality against cost before it is drawn: what it shows, within which limits, and where its names stand.

Static and interactive pictures are drawn from it alike.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.report.pareto import Axis, Point, pareto_front, points
from pipeline.report.results import MIB, Results, Row
from pipeline.report.results_of_papers import PublishedPoint

CHARACTER_WIDTH, LINE_HEIGHT = 0.0115, 0.045  # of a name at a point, as parts of the plot's width and height
MAX_LINES = 4  # a name is lifted at most so far above its point
NEARBY_FACTOR = 4.0  # in size, within which a published result is drawn
MIN_SPAN = 2.0  # of scores, in percent


@dataclass(frozen=True, kw_only=True)
class Name:
    """The name of a point of the front; it ends left of its point, at the height of a score."""

    point: Point
    score: float


@dataclass(frozen=True, kw_only=True)
class Level:
    """A horizontal line at the score of a model without a cost; `arrow` where it lies outside of the plot."""

    row: Row
    score: float
    arrow: str = ""

    @property
    def text(self) -> str:
        """What is written at it."""
        return f"{self.arrow} {self.row.name} {self.score:.2f}".strip()


@dataclass(frozen=True, kw_only=True)
class Neighbour:
    """A published result that is near enough to be drawn."""

    published: PublishedPoint
    x: float
    score: float


@dataclass(frozen=True, kw_only=True)
class ScatterLayout:
    """A plot of the headline against a cost.

    Args:
        axis: the cost.
        points: teacher and students.
        front: those that no other dominates, cheapest first.
        names: of the front, as many as there is room for.
        levels: teacher and trivial baseline.
        neighbours: published results, never part of the front.
        costs: limits of the axis, on a logarithmic one logarithms to the base 10.
        scores: limits in percent.
    """

    axis: Axis
    points: Sequence[Point]
    front: Sequence[Point]
    names: Sequence[Name]
    levels: Sequence[Level]
    neighbours: Sequence[Neighbour]
    costs: tuple[float, float]
    scores: tuple[float, float]


def scatter_layout_of(results: Results, axis: Axis) -> ScatterLayout | None:
    """The plot of a sweep against a cost; none where no model has that cost and a score."""
    given = points(results, axis)
    if not given:
        return None
    front = pareto_front(given)
    neighbours = _neighbours(results, given) if axis.name == "size" else []
    levels, scores = _levels(results, [*_extent(given), *(neighbour.score for neighbour in neighbours)])
    costs = _cost_limits(given, front, axis, [neighbour.x for neighbour in neighbours])
    return ScatterLayout(
        axis=axis,
        points=given,
        front=front,
        names=_names(front, axis, costs, scores),
        levels=levels,
        neighbours=neighbours,
        costs=costs,
        scores=scores,
    )


def _extent(given: Sequence[Point]) -> tuple[float, float]:
    """The lowest and the highest score with their error bars."""
    ends = [value for point in given for value in (point.score, point.low, point.high) if value is not None]
    return min(ends), max(ends)


def _neighbours(results: Results, given: Sequence[Point]) -> list[Neighbour]:
    """One far away would squeeze the others into a corner; all published results stand in a table."""
    sizes, (low, high) = [point.x for point in given], _extent(given)
    room = max(high - low, MIN_SPAN)
    placed = [
        Neighbour(published=p, x=p.size_bytes / MIB, score=p.scores[results.headline])
        for p in results.published
        if p.size_bytes is not None and results.headline in p.scores
    ]
    return [
        neighbour
        for neighbour in placed
        if min(sizes) / NEARBY_FACTOR <= neighbour.x <= max(sizes) * NEARBY_FACTOR
        and low - room <= neighbour.score <= high + room
    ]


def _levels(results: Results, values: list[float]) -> tuple[list[Level], tuple[float, float]]:
    """The horizontal lines, and the limits that show them and the values; a line far away is only pointed at."""
    rows = [row for row in results.rows if row.kind != "student" and results.headline in row.scores]
    low, high = min(values), max(values)
    span = max(high - low, MIN_SPAN)
    levels = []
    for row in rows:
        score = row.scores[results.headline]
        arrow = "↓" if score < low - span else "↑" if score > high + span else ""
        levels.append(Level(row=row, score=score, arrow=arrow))
    shown = [*values, *(level.score for level in levels if not level.arrow)]
    room = 0.1 * max(max(shown) - min(shown), MIN_SPAN)
    return levels, (min(shown) - room, max(shown) + room)


def _place(cost: float, axis: Axis) -> float:
    return math.log10(cost) if axis.log else cost


def _name_width(point: Point) -> float:
    return min(0.6, 0.02 + CHARACTER_WIDTH * len(point.name))


def _cost_limits(
    given: Sequence[Point], front: Sequence[Point], axis: Axis, more: Sequence[float]
) -> tuple[float, float]:
    """Names stand left of the points of the front and need room."""
    places = [_place(cost, axis) for cost in [*(point.x for point in given), *more]]
    low, high = min(places), max(places)
    width = high - low or (0.5 if axis.log else 0.5 * high or 1.0)
    end = high + 0.1 * width
    starts = [low - 0.08 * width]
    for point in front:
        part = _name_width(point) + 0.01
        starts.append((_place(point.x, axis) - part * end) / (1 - part))
    return min(starts), end


def _names(front: Sequence[Point], axis: Axis, costs: tuple[float, float], scores: tuple[float, float]) -> list[Name]:
    """Above and left of the front there is no other point: names that would cover one another are lifted there."""
    names: list[Name] = []
    taken: list[tuple[float, float, float]] = []  # left end, right end and height, as parts of the plot
    for point in front:
        right = (_place(point.x, axis) - costs[0]) / (costs[1] - costs[0])
        left = right - _name_width(point)
        height = wanted = (point.score - scores[0]) / (scores[1] - scores[0])
        for other_left, other_right, other in sorted(taken, key=lambda name: name[2]):
            if left < other_right and other_left < right and abs(height - other) < LINE_HEIGHT:
                height = other + LINE_HEIGHT
        if height <= wanted + MAX_LINES * LINE_HEIGHT:
            taken.append((left, right, height))
            names.append(Name(point=point, score=point.score + (height - wanted) * (scores[1] - scores[0])))
    return names
