"""Curves of training: which metrics are drawn, and as how many points."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

MAX_POINTS, MAX_POINTS_OF_ALL = 500, 150_000  # what a page can hold and a browser draw
FIRST = ("loss", "task_loss", "logits_loss")  # then the other losses, then these:
LAST = ("gradient_norm", "learning_rate")
WIDE_RANGE = 50.0  # maximum over median from which an axis is logarithmic: one diverging student hides the others


@dataclass(frozen=True, kw_only=True)
class Curve:
    """One metric of one model over its optimiser steps.

    Args:
        metric: its name in MLflow.
        name: the model's.
        group: of `Row.group`; decides the colour.
        points: step and value, steps rising.
    """

    metric: str
    name: str
    group: str
    points: Sequence[tuple[int, float]]

    @property
    def key(self) -> str:
        """As `Row.key`."""
        return self.group or self.name


def curve_metrics(names: Iterable[str]) -> list[str]:
    """Those metrics of a run that are curves of training, in the order in which they are shown."""
    given = set(names)
    losses = sorted(name for name in given - set(FIRST) if name.endswith("_loss") and not name.startswith("validation"))
    validation = sorted(name for name in given if name.startswith("validation_"))
    return [name for name in (*FIRST, *losses, *LAST, *validation) if name in given]


def points_each(num_curves: int) -> int:
    """How many points a curve may have on a page of so many."""
    return max(50, min(MAX_POINTS, MAX_POINTS_OF_ALL // max(1, num_curves)))


def thinned(points: Sequence[tuple[int, float]], most: int = MAX_POINTS) -> list[tuple[int, float]]:
    """At most so many of the points: first, last, and the lowest and highest of every stretch, so that peaks stay.

    Args:
        points: step and value.
        most: 4 at least.
    """
    if len(points) <= most:
        return list(points)
    num_stretches = (most - 2) // 2
    kept = {0, len(points) - 1}
    for stretch in range(num_stretches):
        indices = range(stretch * len(points) // num_stretches, (stretch + 1) * len(points) // num_stretches)
        kept |= {min(indices, key=lambda i: points[i][1]), max(indices, key=lambda i: points[i][1])}
    return [points[index] for index in sorted(kept)]


def wants_log_axis(curves: Sequence[Curve]) -> bool:
    """Whether the values of these curves are positive and too far apart for a linear axis."""
    values = sorted(value for curve in curves for _, value in curve.points)
    return bool(values) and values[0] > 0 and values[-1] > WIDE_RANGE * values[len(values) // 2]


def by_metric(curves: Sequence[Curve]) -> dict[str, list[Curve]]:
    """The curves of every metric, metrics in the order in which they are shown."""
    order = curve_metrics(curve.metric for curve in curves)
    return {metric: [curve for curve in curves if curve.metric == metric] for metric in order}


def rounded(value: float, digits: int = 5) -> float:
    """A number with so many significant digits: a page need not hold more."""
    return value if value == 0 or not math.isfinite(value) else float(f"{value:.{digits}g}")
