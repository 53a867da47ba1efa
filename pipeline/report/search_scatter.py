"""A plot of error against a cost before it is drawn: its points, its vertical lines, and where there is room for names.

Static and interactive pictures are drawn from it alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.report.curves import WIDE_RANGE
from pipeline.report.search_costs import (
    CostAxis,
    Front,
    inference_axis,
    known_costs,
    marked,
    scored,
    size_axis,
)
from pipeline.report.search_label_places import Box, box_of, room_for
from pipeline.report.search_numbers import shortened
from pipeline.report.search_results import SearchPoint, SearchResults
from pipeline.report.search_rules import Rule, in_rows, rules_of
from pipeline.report.search_scale import Scale, scale_of

MAX_BARS = 60  # of more points only the named ones show how sure their numbers are


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
        return scale_of(values, room=0.0)


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
    x = scale_of([dot.x for dot in dots], room=0.06, is_log=axis.is_log)
    rules = rules_of(results, axis, x, {dot.point.name for dot in dots})
    x = x.with_room_for([rule.x for rule in rules if not rule.arrow], 0.03)
    ends = [
        value for dot in dots for value in (dot.error, dot.error - (dot.spread or 0), dot.error + (dot.spread or 0))
    ]
    errors = [dot.error for dot in dots]
    is_wide = min(errors) > 0 and max(errors) > WIDE_RANGE * sorted(errors)[len(errors) // 2]
    y = scale_of(errors if is_wide else ends, room=0.1, is_log=is_wide)
    return SearchScatter(
        axis=axis,
        shade=shade if len({dot.shade for dot in dots} - {None}) > 1 else None,
        dots=dots,
        labels=_labels(results, front, dots, x, y),
        rings=_rings(results, dots),
        rules=in_rows(rules, x),
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


def _labels(results: SearchResults, front: Front, dots: Sequence[Dot], x: Scale, y: Scale) -> list[Label]:
    """Answer and optimum first, then the front from cheap to dear; a number without room is left out."""
    marks, numbers = marked(results), front.numbers
    by_name = {dot.point.name: dot for dot in dots}
    spots = [(x.place(dot.x), y.place(dot.error)) for dot in dots]
    taken: list[Box] = []
    labels = []
    for name in [*marks, *(point.name for point in front.points if point.name not in marks)]:
        if name not in by_name:
            continue
        number = [str(numbers[name])] if name in numbers else []
        text = ", ".join([*number, *(shortened(mark) for mark in marks.get(name, ()))])
        spot = (x.place(by_name[name].x), y.place(by_name[name].error))
        found = room_for(text, spot, spots, taken)
        if found is not None or name in marks:
            position, box = found or ("top center", box_of(text, spot, "top center"))
            taken.append(box)
            labels.append(Label(text=text, dot=by_name[name], position=position))
    return labels
