"""Milliseconds of points: measured, and where there are too many, predicted by a model of those that were."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pipeline.config.jobs.ose_search import OseSearchJob
from pipeline.stages.job import OpenedJob
from pipeline.stages.search.costs import PointCosts
from pipeline.stages.search.space import Point


@dataclass(frozen=True, kw_only=True)
class Latency:
    """The time of a point.

    Args:
        milliseconds: the median, or what the model says.
        low: lower end of the middle half of the samples, or of the prediction's interval.
        high: the upper end.
        is_measured: whether it was measured.
    """

    milliseconds: float
    low: float
    high: float
    is_measured: bool


@dataclass(frozen=True, kw_only=True)
class Latencies:
    """The times of points as far as they are known."""

    of: Mapping[str, Latency] = field(default_factory=dict)
    model: Mapping[str, float] | None = None

    def milliseconds(self, name: str) -> float | None:
        """Of a point; none where it is not known."""
        return self.of[name].milliseconds if name in self.of else None


def latencies_of(
    job: OpenedJob[OseSearchJob], points: Sequence[Point], costs: Mapping[str, PointCosts], *, measures: bool
) -> Latencies:
    return Latencies()
