"""Milliseconds of architectures that were not measured, from those that were.

A time is taken to be a sum of parts, each a number of the architecture (layers, operations, bytes) times what one of it
costs. No part saves time, so that costs are not negative: non-negative least squares. What is minimised is the relative
error, because a model that misses every time by a tenth serves as well at one millisecond as at a thousand. Nothing of
this is published for the search; how far to trust it is said by every measured point, left out in turn.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.config.errors import UserError

Array = np.ndarray[Any, Any]
# A sum of parts misses a time by about so much however well it was measured: without it, a point that happened to show
# no spread at all would decide alone.
MISFIT = 0.05
COVERAGE = 0.8  # of the intervals, where there are points enough
TOLERANCE = 1e-9  # relative: what is less is rounding
MEASURE = "measure more points"


@dataclass(frozen=True, kw_only=True)
class MeasuredPoint:
    """An architecture and its time.

    Args:
        features: numbers of the architecture by name, the most important first; all points have the same.
        milliseconds: median of the samples.
        spread_ms: half the width of the middle half of the samples.
    """

    features: Mapping[str, float]
    milliseconds: float
    spread_ms: float


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """A time that was not measured.

    Args:
        milliseconds: what the model says.
        low: where the interval begins.
        high: where it ends; infinite where the model cannot say.
        beyond: features whose value lies outside of what was measured.
    """

    milliseconds: float
    low: float
    high: float
    beyond: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class LatencyModel:
    """Milliseconds as a sum over features.

    Args:
        coefficients: milliseconds of one unit of every feature that was used.
        left_out: why other features were not used.
        errors: of every measured point: what the model that was fitted to the others says, by what was measured, less
            one.
        factor: of the intervals: a time lies between the prediction divided and multiplied by it.
        coverage: part of the points, left out in turn, whose interval holds their time, at least.
        measured: smallest and largest value of every feature among the measured points.
    """

    coefficients: Mapping[str, float]
    left_out: Mapping[str, str]
    errors: tuple[float, ...]
    factor: float
    coverage: float
    measured: Mapping[str, tuple[float, float]]

    @property
    def median_error(self) -> float:
        """Of the sizes of the errors."""
        return float(np.median(np.abs(self.errors)))

    @property
    def max_error(self) -> float:
        """The largest size."""
        return max(map(abs, self.errors))

    def predict(self, features: Mapping[str, float]) -> Prediction:
        """The time of an architecture.

        Args:
            features: as of the measured points.

        Raises:
            UserError: other features than they have, or impossible values.
        """
        _check_features(features, tuple(self.measured))
        milliseconds = sum(cost * features[name] for name, cost in self.coefficients.items())
        return Prediction(
            milliseconds=milliseconds,
            low=milliseconds / self.factor,
            high=milliseconds * self.factor if milliseconds else math.inf,
            beyond=tuple(name for name, (low, high) in self.measured.items() if not low <= features[name] <= high),
        )


def fit_latency(points: Sequence[MeasuredPoint]) -> LatencyModel:
    """The model of measured points.

    Features are used as long as there is a point more than features, so that one can be left out, and as long as they
    say something that those before them do not.

    Args:
        points: two at least.

    Raises:
        UserError: fewer points, no feature, points of different features, impossible numbers, features that are all 0.
    """
    _check_points(points)
    names, left_out = _usable(points)
    matrix = np.array([[point.features[name] for name in names] for point in points], dtype=np.float64)
    times = np.array([point.milliseconds for point in points])
    spreads = np.array([point.spread_ms for point in points]) / times
    weights = 1 / np.hypot(spreads, MISFIT) / times  # of the residuals, which are relative thereby
    left = [np.arange(len(points)) != index for index in range(len(points))]
    predicted = np.array([matrix[i] @ _fitted(matrix[kept], times[kept], weights[kept]) for i, kept in enumerate(left)])
    factor, coverage = _interval(times, predicted)
    values = {name: [point.features[name] for point in points] for name in points[0].features}
    return LatencyModel(
        coefficients=dict(zip(names, _fitted(matrix, times, weights).tolist(), strict=True)),
        left_out=left_out,
        errors=tuple((predicted / times - 1).tolist()),
        factor=factor,
        coverage=coverage,
        measured={name: (min(numbers), max(numbers)) for name, numbers in values.items()},
    )


def non_negative_least_squares(matrix: Array, target: Array) -> Array:
    """The x of no negative number that minimises |matrix x - target| (Lawson and Hanson 1974).

    Args:
        matrix: (rows, columns).
        target: (rows,).

    Returns:
        (columns,).
    """
    num_columns = matrix.shape[1]
    x, used = np.zeros(num_columns), np.zeros(num_columns, dtype=bool)
    smallest = TOLERANCE * max(1.0, float(np.abs(matrix.T @ target).max()))
    for _ in range(3 * num_columns * num_columns + 3):  # each turn lowers the residual: far fewer are needed
        slopes = np.where(used, -np.inf, matrix.T @ (target - matrix @ x))
        if used.all() or slopes.max() <= smallest:
            break
        used[slopes.argmax()] = True
        while True:
            best = np.zeros(num_columns)
            best[used] = np.linalg.lstsq(matrix[:, used], target, rcond=None)[0]
            blocked = used & (best <= 0)
            if not blocked.any():
                break
            # As far towards the best as no number turns negative; those that reach 0 are given up.
            step = float((x[blocked] / np.maximum(x[blocked] - best[blocked], np.finfo(float).tiny)).min())
            x = x + step * (best - x)
            used &= x > TOLERANCE * max(1.0, float(x.max()))
            x[~used] = 0.0
        x = best
    return x


def _fitted(matrix: Array, times: Array, weights: Array) -> Array:
    """Costs of the columns, which are brought to one size first: operations are many and layers few."""
    scales = np.maximum(np.abs(matrix).max(axis=0), np.finfo(float).tiny)
    costs: Array = non_negative_least_squares(matrix / scales * weights[:, None], times * weights) / scales
    return costs


def _interval(times: Array, predicted: Array) -> tuple[float, float]:
    """A factor between prediction and time that is exceeded by as few points as wanted, and how few that are."""
    with np.errstate(divide="ignore"):
        ratios = np.sort(np.maximum(times / predicted, predicted / times))
    rank = min(len(times), math.ceil(COVERAGE * (len(times) + 1)))  # of one more point, which is to come
    return float(ratios[rank - 1]), min(COVERAGE, len(times) / (len(times) + 1))


def _usable(points: Sequence[MeasuredPoint]) -> tuple[list[str], dict[str, str]]:
    """Names of the features that the points can tell apart, and why the others are left out."""
    names: list[str] = []
    left_out: dict[str, str] = {}
    basis: list[Array] = []
    for name in points[0].features:
        column = np.array([point.features[name] for point in points], dtype=np.float64)
        rest = column.copy()
        for _ in range(2):  # once more: what is left of the first time has lost digits
            for direction in basis:
                rest -= (direction @ rest) * direction
        if len(names) + 1 >= len(points):
            left_out[name] = f"{len(points)} points measured, one more than features at least"
        elif np.linalg.norm(rest) <= TOLERANCE * np.linalg.norm(column):
            left_out[name] = "among the measured points it follows from the others" if names else "it is always 0"
        else:
            names.append(name)
            basis.append(rest / np.linalg.norm(rest))
    if not names:
        raise UserError("features that are all 0", "a feature above 0", "add a constant, which is 1 for every point")
    return names, left_out


def _check_points(points: Sequence[MeasuredPoint]) -> None:
    if len(points) < 2:
        raise UserError(f"a latency model of {len(points)} measured points", "2 points at least", MEASURE)
    if not points[0].features:
        raise UserError("a latency model without features", "one feature at least", "add a constant")
    for point in points:
        _check_features(point.features, tuple(points[0].features))
        if not (math.isfinite(point.milliseconds) and point.milliseconds > 0):
            raise UserError(f"a measured time of {point.milliseconds:g} ms", "times above 0", "measure it again")
        if not (math.isfinite(point.spread_ms) and point.spread_ms >= 0):
            raise UserError(f"a measured spread of {point.spread_ms:g} ms", "spreads from 0 on", "measure it again")


def _check_features(features: Mapping[str, float], names: tuple[str, ...]) -> None:
    if set(features) != set(names):
        given = f"features {', '.join(features)}"
        raise UserError(given, f"those of the measured points: {', '.join(names)}", "change the features")
    for name, value in features.items():
        if not (math.isfinite(value) and value >= 0):
            raise UserError(f"feature {name} = {value:g}", "numbers from 0 on", "change the features")
