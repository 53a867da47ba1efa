"""What candidates cost as axes of a plot and as objectives: which costs a search is shown by, and its Pareto front."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline.report.results import MIB
from pipeline.report.search_results import SearchPoint, SearchResults
from pipeline.search.front import front

LATENCY_KEY, BYTES_KEY = "latency_ms", "size_bytes"


@dataclass(frozen=True, kw_only=True)
class CostAxis:
    """A cost as it is drawn.

    Args:
        key: its name among the costs.
        name: of the plot's file.
        title: of the axis.
        short: of a scale of colours, and in a sentence.
        divisor: the cost over its unit.
        limit: the key of the limit on it, which is given in the unit of the axis.
        is_log: whether it is drawn logarithmically; none: where the candidates are far apart.
    """

    key: str
    name: str
    title: str
    short: str
    divisor: float
    limit: str
    is_log: bool | None

    def of(self, costs: Mapping[str, float]) -> float | None:
        """The cost in the unit of the axis; none where it is not known."""
        value = costs.get(self.key)
        return None if value is None else value / self.divisor


BYTES = CostAxis(
    key=BYTES_KEY,
    name="size",
    title="weights on disk, MiB",
    short="MiB",
    divisor=float(MIB),
    limit="max_mib",
    is_log=True,
)
LATENCY = CostAxis(
    key=LATENCY_KEY,
    name="latency",
    title="median time of one sequence, ms",
    short="ms",
    divisor=1.0,
    limit="max_ms",
    is_log=None,
)


def cost_axis(key: str) -> CostAxis:
    """The axis of any cost."""
    known = {axis.key: axis for axis in (BYTES, LATENCY)}
    plain = CostAxis(key=key, name=key, title=key, short=key, divisor=1.0, limit=f"max_{key}", is_log=True)
    return known.get(key, plain)


def in_words(key: str) -> str:
    """The name of a cost in a sentence."""
    return {BYTES_KEY: "bytes", LATENCY_KEY: "milliseconds"}.get(key, key)


def known_costs(point: SearchPoint) -> dict[str, float]:
    """Everything that a candidate costs, its time among it."""
    return point.costs if point.latency_ms is None else {**point.costs, LATENCY_KEY: point.latency_ms}


def scored(results: SearchResults) -> list[SearchPoint]:
    """The candidates that were tried to the end and have an error there."""
    return [point for point in results.points if point.error is not None and math.isfinite(point.error)]


def size_axis(results: SearchResults) -> CostAxis:
    """Bytes, if all that have an error have bytes; else the size in W."""
    given = scored(results) or results.points
    return BYTES if all(BYTES_KEY in point.costs for point in given) else cost_axis(results.size_cost)


def inference_axis(results: SearchResults) -> CostAxis:
    """Milliseconds, if any that has an error has them; else the inference in W."""
    given = scored(results) or results.points
    return LATENCY if any(point.latency_ms is not None for point in given) else cost_axis(results.inference_cost)


@dataclass(frozen=True, kw_only=True)
class Front:
    """The Pareto front of a search.

    Args:
        points: what no other beats, cheapest first; their places in it are the numbers in the plots.
        objectives: what they are compared in, as words.
        num_left_out: how many have an error and lack one of the costs.
    """

    points: Sequence[SearchPoint]
    objectives: Sequence[str]
    num_left_out: int

    @property
    def numbers(self) -> dict[str, int]:
        """Name -> number, from 1."""
        return {point.name: number for number, point in enumerate(self.points, 1)}


def pareto_front_of(results: SearchResults) -> Front:
    """In size, time and error; without times in size and error."""
    given, size, inference = scored(results), size_axis(results), inference_axis(results)
    axes = [size, inference] if inference is LATENCY else [size]
    compared: list[tuple[SearchPoint, list[float]]] = []
    for point in given:
        values = [value for axis in axes if (value := axis.of(known_costs(point))) is not None]
        if len(values) == len(axes) and point.error is not None:
            compared.append((point, [*values, point.error]))
    kept = [compared[index] for index in front([values for _, values in compared])]
    return Front(
        points=[point for point, _ in sorted(kept, key=lambda one: one[1])],
        objectives=["bytes" if axis is BYTES else axis.short for axis in axes] + ["error"],
        num_left_out=len(given) - len(compared),
    )


def marked(results: SearchResults) -> dict[str, list[str]]:
    """Name of a candidate -> what it is besides: answer, optimum, an architecture with a name of its own."""
    marks: dict[str, list[str]] = {results.best: ["answer"]}
    if results.optimum is not None:
        marks.setdefault(results.optimum, []).append("optimum")
    for name, costs in results.named.items():
        candidate = candidate_of(name, costs, results.points)
        if candidate is not None:
            marks.setdefault(candidate.name, []).append(name)
    return marks


def candidate_of(name: str, costs: Mapping[str, float], points: Sequence[SearchPoint]) -> SearchPoint | None:
    """The candidate of this name, or the only one with these costs; times do not tell candidates apart."""
    by_name = [point for point in points if point.name == name]
    told = {key: value for key, value in costs.items() if key != LATENCY_KEY}
    alike = [
        point
        for point in points
        if (shared := told.keys() & point.costs.keys()) and all(point.costs[key] == told[key] for key in shared)
    ]
    return by_name[0] if by_name else alike[0] if len(alike) == 1 else None
