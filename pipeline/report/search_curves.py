"""Errors of candidates by step, and W along the order of the search, before they are drawn."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.report.curves import Curve
from pipeline.report.search_costs import Front
from pipeline.report.search_looks import group_of
from pipeline.report.search_numbers import significant
from pipeline.report.search_results import SearchPoint, SearchResults

# Drawn in this order: what matters covers the rest.
DRAWN = ("given up", "diverged", "dominated", "front", "optimum", "answer")
FAR = 3.0  # times the highest W, from which the upper bound is only pointed at


def error_curves(results: SearchResults, front: Front) -> list[Curve]:
    """The errors of every candidate that was tried, by `DRAWN`; none where no candidate was seen at two steps.

    A curve that diverges ends at its last finite error.
    """
    curves = []
    for point in results.points:
        points = [(step, error) for step, error in sorted(point.errors.items()) if math.isfinite(error)]
        if points and group_of(point, front) in DRAWN:
            group = group_of(point, front)
            group = "optimum" if point.name == results.optimum else group
            group = "answer" if point.name == results.best else group
            curves.append(Curve(metric=results.error_name, name=point.name, group=group, points=points))
    curves.sort(key=lambda curve: DRAWN.index(curve.group))
    return curves if any(len(curve.points) > 1 for curve in curves) else []


@dataclass(frozen=True, kw_only=True)
class WPlot:
    """W along the order.

    Args:
        shown: group -> place in the order from 1, W, candidate; those without a W stand at 0.
        bound: what no candidate's W exceeds; none where nothing is known.
        text: what is written at the bound; empty without one.
        is_far: whether it lies above the plot.
        highest: the upper end of the plot.
    """

    shown: dict[str, list[tuple[int, float, SearchPoint]]]
    bound: float | None
    text: str
    is_far: bool
    highest: float


def w_plot(results: SearchResults, front: Front) -> WPlot | None:
    """W along the order; none where no candidate has one."""
    known = [point.w for point in results.points if point.w is not None and math.isfinite(point.w)]
    if not known:
        return None
    shown: dict[str, list[tuple[int, float, SearchPoint]]] = {}
    for place, point in enumerate(results.points, 1):
        shown.setdefault(group_of(point, front), []).append((place, point.w or 0.0, point))
    bound, most = results.guarantee.upper_bound, max(known)
    is_far = bound is not None and bound > FAR * most
    text = "" if bound is None else f"{'↑ ' if is_far else ''}upper bound {significant(bound)}"
    top = most if bound is None or is_far else max(most, bound)
    return WPlot(shown=shown, bound=bound, text=text, is_far=is_far, highest=1.12 * top or 1.0)


def step_ticks(curves: Sequence[Curve], most: int = 12) -> list[int]:
    """All steps at which errors are known, if they are few enough to be written; else none."""
    steps = sorted({step for curve in curves for step, _ in curve.points})
    return steps if len(steps) <= most else []


def steps_want_log(curves: Sequence[Curve]) -> bool:
    """Whether steps grow by factors, as in successive halving."""
    steps = sorted({step for curve in curves for step, _ in curve.points})
    return steps[0] > 0 and steps[-1] >= 8 * steps[0]
