"""The plan of a search: its points and their costs, those within the limits, the cover, what is to be trained."""

from __future__ import annotations

import logging
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.config.errors import UserError
from pipeline.config.jobs.ose_search import OseSearchJob
from pipeline.config.keys import config_hash, decisions
from pipeline.config.sections.search import SearchConfig
from pipeline.search.cover import Candidate, Cost, eps_cover, maximum_point, ordered, saving
from pipeline.stages.job import OpenedJob
from pipeline.stages.search.costs import PointCosts, costs_of
from pipeline.stages.search.latencies import Latencies, latencies_of
from pipeline.stages.search.space import Point, TrialPlan, model_point, plan_trials, points_of, trials_key
from pipeline.stages.search.training_texts import check_steps

MIB = 2**20
MAXIMUM = "T"
# What the units of limits are called, and how a person sets them.
LIMITS = {"size_bytes": ("search.max_mib", "MiB", MIB), "latency_ms": ("search.max_ms", "ms", 1)}

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class SearchPlan:
    """What a search will do.

    Args:
        key: of the search.
        name: what a sweep calls it.
        folder: where its results lie.
        trials_folder: where what is seen of trials lies.
        points: all, as the space lists them.
        named: further points that are shown.
        costs: of all of them, and of the maximum point where it is given as an architecture.
        latencies: milliseconds of the same, as far as they are known.
        maximum: the costs of T.
        candidates: the points within the limits, in order.
        cover: names of those that the search tries.
        trials: of all candidates.
    """

    key: str
    name: str
    folder: Path
    trials_folder: Path
    points: Sequence[Point]
    named: Sequence[Point]
    costs: Mapping[str, PointCosts]
    latencies: Latencies
    maximum: Cost
    candidates: Sequence[Candidate[Point]]
    cover: Sequence[str]
    trials: Sequence[TrialPlan]

    def trials_of(self, points: Sequence[str]) -> list[TrialPlan]:
        """The trials of some points."""
        asked = set(points)
        return [trial for trial in self.trials if trial.point in asked]

    def values(self, name: str) -> dict[str, float]:
        """What a point costs, by the names that settings and reports use."""
        return values_of(self.costs, self.latencies, name)


def values_of(costs: Mapping[str, PointCosts], latencies: Latencies, name: str) -> dict[str, float]:
    """What a point costs, by the names that settings and reports use; milliseconds where they are known."""
    milliseconds = latencies.milliseconds(name)
    return costs[name].values | ({} if milliseconds is None else {"latency_ms": milliseconds})


def plan_search(job: OpenedJob[OseSearchJob], *, measures: bool = True, needs_times: bool = True) -> SearchPlan:
    """Work out what everything costs, and what is to be tried.

    Args:
        job: the job.
        measures: whether milliseconds that nobody has measured are measured now; else they are unknown.
        needs_times: whether milliseconds must be known where they decide; else operations stand for unknown ones, and
            no limit of milliseconds holds.

    Raises:
        UserError: an impossible space, limits that no point meets, an interval that the candidates do not have, steps
            beyond the training, times that decide and are unknown, a maximum point that a candidate exceeds.
    """
    config = job.config
    search, points, named = config.search, points_of(config), _named(config)
    check_steps(config, job.task.split("train").lengths())
    costs = costs_of(job, [*points, *named])
    timed = _timed(search, points, costs)
    latencies = latencies_of(job, timed, named, costs, measures=measures)
    ends = [one for one in named if one.name == MAXIMUM]
    unknown = [one.name for one in [*timed, *ends] if latencies.milliseconds(one.name) is None]
    if search.times_decide and unknown:
        if needs_times:
            raise _unknown_times(search, unknown, measures)
        log.warning(f"times of {len(unknown)} candidates are unknown: planned by operations, without limits of times")
        search = replace(search, inference="operations", max_ms=None)
    all_costs = {
        one.name: costs[one.name].cost(search.size, search.inference, latencies.milliseconds(one.name))
        for one in [*points, *ends]
    }
    maximum, within = _maximum(points, all_costs), _within_limits(search, points, costs, latencies)
    candidates = ordered(within, lambda point: all_costs[point.name])
    for candidate in candidates:  # before anything is trained
        saving(candidate.cost, maximum)
    trials = plan_trials(job, [candidate.architecture for candidate in candidates])
    key = trials_key(job)
    search_key = config_hash(
        key,
        decisions(config.search, without=["name", "num_chosen"]),
        search.seed_list(config.seed),
        [decisions(point.architecture) for point in points if point.architecture is not None],
    )
    return SearchPlan(
        key=search_key,
        name=search.name or search_key,
        folder=job.storage.search(search.name or search_key),
        trials_folder=job.storage.trials(key),
        points=points,
        named=named,
        costs=costs,
        latencies=latencies,
        maximum=maximum,
        candidates=candidates,
        cover=[candidate.architecture.name for candidate in eps_cover(candidates, search.eps)],
        trials=trials,
    )


def _unknown_times(search: SearchConfig, unknown: Sequence[str], measures: bool) -> UserError:
    what = "search.inference=latency_ms" if search.inference == "latency_ms" else f"search.max_ms={search.max_ms:g}"
    if not measures:
        return UserError(
            f"{what}, and nobody has measured the times of {len(unknown)} candidates on this machine so",
            "candidates whose times are measured or predicted",
            "submit the same command without --resolve, or with the search.latency of the search",
        )
    return UserError(
        f"{what}, and no time of {len(unknown)} candidates, such as '{unknown[0]}', for fewer than two were measured "
        f"by {search.latency.runtimes[0]}",
        "two measured candidates or more: the times of the others are predicted by theirs",
        "raise search.latency.max_measured, or put another one first in search.latency.runtimes",
    )


def _timed(search: SearchConfig, points: Sequence[Point], costs: Mapping[str, PointCosts]) -> list[Point]:
    """The points whose milliseconds are asked for: all where T needs them, else those that are not too large."""
    limit = search.limits.get("size_bytes", math.inf)
    small = [point for point in points if costs[point.name].size_bytes <= limit]
    return list(points) if search.inference == "latency_ms" or not small else small


def without_candidates(plan: SearchPlan, names: Collection[str]) -> SearchPlan:
    """The plan without some candidates, which turned out to be beyond a limit."""
    left = [one for one in plan.candidates if one.architecture.name not in names]
    costs = {one.architecture.name: one.cost for one in left}
    return replace(
        plan,
        candidates=ordered([one.architecture for one in left], lambda point: costs[point.name]),
        cover=[name for name in plan.cover if name not in names],
        trials=[trial for trial in plan.trials if trial.point not in names],
    )


def _named(config: OseSearchJob) -> list[Point]:
    """Points that are shown beside the answer, T among them where it is an architecture."""
    if config.search.kind != "models":
        return []
    space = config.search.models
    given = {**space.named, **({MAXIMUM: space.maximum} if space.maximum else {})}
    return [model_point(name, values, config) for name, values in given.items()]


def _maximum(points: Sequence[Point], costs: Mapping[str, Cost]) -> Cost:
    """T: the architecture that is given, or the largest costs of the space, whatever the limits are."""
    if MAXIMUM in costs:
        return costs[MAXIMUM]
    return maximum_point(ordered(points, lambda point: costs[point.name]))


def _within_limits(
    search: SearchConfig, points: Sequence[Point], costs: Mapping[str, PointCosts], latencies: Latencies
) -> list[Point]:
    """The points whose costs are within all limits.

    Raises:
        UserError: none is, with the nearest.
    """
    limits = search.limits

    def beyond(point: Point) -> float:
        """By what factor it exceeds the limit that it exceeds most; at most 1 within all.

        What is too large has no time, and needs none.
        """
        values = values_of(costs, latencies, point.name)
        return max((values[cost] / limit for cost, limit in limits.items() if cost in values), default=0.0)

    within = [point for point in points if beyond(point) <= 1]
    if within or not points:
        return within
    nearest = min(points, key=beyond)
    values = values_of(costs, latencies, nearest.name)
    shown = {cost: f"{values[cost] / LIMITS[cost][2]:.4g} {LIMITS[cost][1]}" for cost in limits if cost in values}
    raise UserError(
        " and ".join(f"{LIMITS[cost][0]}={limit / LIMITS[cost][2]:g}" for cost, limit in limits.items())
        + f", which none of {len(points)} candidates meets",
        f"at least what the nearest has: '{nearest.name}' with {', '.join(shown.values())}",
        f"raise {' or '.join(LIMITS[cost][0] for cost in limits)}, or search smaller candidates",
    )
