"""Made-up results of a search for the tests of its report: costs rise along the order, errors fall and waver."""

import math
import random

from pipeline.report.search_results import SearchPoint, SearchResults
from pipeline.search.cover import Cost, eps_cover, maximum_point, ordered, w_coefficient
from pipeline.search.guarantee import guarantee_of

STEPS = (3, 10, 30)


def seen_of(state, reached):
    """Step -> error, as far as somebody has looked."""
    if state == "diverged":
        return {3: reached[3], 10: math.inf}
    last = {"not tried": 0, "given up": 2, "tried": 3}[state]
    return {step: reached[step] for step in STEPS[:last]}


def point_of(candidate, maximum, state, seen, *, with_times, in_cover):
    """A candidate as the report takes it; its time is in proportion to its operations."""
    cost, last = candidate.cost, seen[max(seen)] if seen else None
    time = cost.inference / 1e5
    return SearchPoint(
        name=f"candidate {candidate.rank}",
        costs={"parameters": cost.size, "operations": cost.inference, "size_bytes": cost.size / 4 + 1e3},
        latency_ms=time if with_times else None,
        latency_interval_ms=(0.9 * time, 1.2 * time) if with_times else None,
        is_measured=in_cover,
        errors=seen,
        error_spread=0.02 if state == "tried" else None,
        w=None if last is None else w_coefficient(cost, maximum, last),
        state=state,
        in_cover=in_cover,
    )


def search_results(num=8, *, eps=2, with_times=True, num_given_up=1, num_diverged=1, tries_all=False, **options):
    """Candidates of which the cover was tried, some given up and some diverged.

    Args:
        num: of candidates.
        eps: the interval.
        with_times: whether times are known: measured in the cover, else predicted.
        num_given_up: the last ones of the cover but one.
        num_diverged: the first ones of the cover.
        tries_all: whether what is not in the cover was tried, too; the optimum is known then.
        options: other fields of the results.
    """
    rng = random.Random(num)
    sizes = [10_000 * (1 + index) + rng.randrange(5_000) for index in range(num)]
    candidates = ordered(sizes, lambda size: Cost(size=size, inference=size**1.2 * rng.uniform(0.8, 1.2)))
    maximum = maximum_point(candidates)
    maximum = Cost(size=1.5 * maximum.size, inference=1.5 * maximum.inference)
    cover = [candidate.rank for candidate in eps_cover(candidates, eps)]
    diverged, given_up = cover[:num_diverged], cover[len(cover) - 1 - num_given_up : len(cover) - 1]
    points, errors = [], {}
    for candidate in candidates:
        rank = candidate.rank
        final = 3 + 20_000 / candidate.cost.size + rng.uniform(0, 0.05)
        reached = {step: final + 5 / step for step in STEPS}
        state = "diverged" if rank in diverged else "given up" if rank in given_up else "tried"
        state = state if rank in cover or tries_all else "not tried"
        seen = seen_of(state, reached)
        errors[rank] = seen[max(seen)] if seen else None
        points.append(point_of(candidate, maximum, state, seen, with_times=with_times, in_cover=rank in cover))
    tried = [point for point in points if point.state == "tried"]
    best = max((point for point in tried if point.in_cover), key=lambda point: point.w)
    optimum = max(tried, key=lambda point: point.w)
    fields = {
        "title": "a space",
        "points": points,
        "best": best.name,
        "chosen": [best.name],
        "optimum": optimum.name if tries_all else None,
        "maximum": {"parameters": maximum.size, "operations": maximum.inference, "size_bytes": maximum.size / 4 + 1e3}
        | ({"latency_ms": maximum.inference / 1e5} if with_times else {}),
        "named": {"Bort": {"parameters": 1.2e6, "operations": 9e6, "size_bytes": 2e5}},
        "size_cost": "parameters",
        "inference_cost": "operations",
        "error_name": "validation loss after 30 steps",
        "limits": {},
        "rule": "The highest W of the cover.",
        "guarantee": guarantee_of(candidates, maximum, eps=eps, errors={rank: errors[rank] for rank in cover}),
        "distance": {"relative": 1 - best.w / optimum.w, "places": 1.0} if tries_all else None,
        "latency_model": {"num_measured": float(len(cover)), "median_error": 0.03, "max_error": 0.2},
        "facts": {"search": "ab12cd34"},
        "environment": {"torch": "2.13.0"},
        "config": "seed: 28\n",
    }
    return SearchResults(**{**fields, **options})
