"""The outcome of a search in sentences: what was tried, what came of it, how good that is."""

from __future__ import annotations

import math
from collections import Counter

from pipeline.report.results import MIB
from pipeline.report.search_costs import BYTES_KEY, Front, cost_axis, known_costs
from pipeline.report.search_numbers import significant
from pipeline.report.search_results import SearchPoint, SearchResults

ROUNDING = 1e-9  # of a W that was computed twice


def search_summary(results: SearchResults, front: Front) -> list[str]:
    """Paragraphs: what was searched, the answer, how far it is from the optimum, what times are."""
    by_name = {point.name: point for point in results.points}
    best = by_name[results.best]
    place = 1 + list(results.points).index(best)
    limits = f" It may cost {' and '.join(limit_texts(results))}." if results.limits else ""
    number, num_front = front.numbers.get(best.name), _plural(len(front.points), "candidate")
    objectives = f"{', '.join(front.objectives[:-1])} and {front.objectives[-1]}"
    on_front = (
        f"It is {'not' if number is None else f'number {number}'} on the Pareto front of {num_front} in {objectives}."
    )
    said_of_times = times(results)
    return [
        searched(results),
        f"Answer: {best.name}, {described(best, results)}; place {place} of {len(results.points)}, cheapest first.",
        f"{results.rule}{limits} {on_front}{for_a_sweep(results)}",
        f"{beside_optimum(results)} {bounds(results)}",
        *([said_of_times] if said_of_times else []),
    ]


def for_a_sweep(results: SearchResults) -> str:
    """What a sweep would train; empty where that is the answer alone, or nothing."""
    others = [name for name in results.chosen if name != results.best]
    first = "it and " if results.best in results.chosen else ""
    return f" A sweep would train {first}{'; '.join(others)}." if others else ""


def _plural(num: int, what: str) -> str:
    return f"{num:,} {what}{'' if num == 1 else 's'}"


def searched(results: SearchResults) -> str:
    """How many candidates there are, and what became of them."""
    counts, num_cover = Counter[str](point.state for point in results.points), sum(p.in_cover for p in results.points)
    become = {
        "tried": "tried to the end",
        "given up": "given up early",
        "diverged": "diverged",
        "not tried": "not tried",
    }
    parts = [f"{counts[state]:,} {words}" for state, words in become.items() if counts[state]]
    return (
        f"{_plural(len(results.points), 'candidate')}, {num_cover:,} in the cover for ε = {results.guarantee.eps}: "
        f"{', '.join(parts)}."
    )


def described(point: SearchPoint, results: SearchResults) -> str:
    """Size, time, error, W."""
    parts = []
    size = point.costs.get(BYTES_KEY)
    if size is not None:
        parts.append(f"{size:,.0f} bytes ({size / MIB:.3f} MiB)")
    elif results.size_cost in point.costs:
        parts.append(f"{point.costs[results.size_cost]:,.0f} {results.size_cost}")
    if point.latency_ms is not None:
        parts.append(f"{significant(point.latency_ms, 3)} ms ({'measured' if point.is_measured else 'predicted'})")
    elif results.inference_cost in known_costs(point):
        parts.append(f"{known_costs(point)[results.inference_cost]:,.0f} {results.inference_cost}")
    if point.error is not None:
        spread = "" if point.error_spread is None else f" ± {significant(point.error_spread, 2)}"
        parts.append(f"{results.error_name} {significant(point.error)}{spread}")
    if point.w is not None:
        parts.append(f"W {significant(point.w)}")
    return ", ".join(parts)


def limit_texts(results: SearchResults) -> list[str]:
    """The limits in words; one that belongs to no cost under its own name."""
    keys = {key for point in results.points for key in known_costs(point)}
    axes = {axis.limit: axis for axis in map(cost_axis, keys)}
    return [
        f"at most {significant(value, 3)} {axes[name].short}" if name in axes else f"{name} = {value:g}"
        for name, value in results.limits.items()
    ]


def beside_optimum(results: SearchResults) -> str:
    """How far the answer is from the brute-force optimum; empty where that is not known."""
    if results.optimum is None:
        return "The brute-force optimum is not known."
    if results.optimum == results.best:
        return "The answer is the brute-force optimum: no candidate has a higher W."
    distance = results.distance or {}
    parts = []
    if "relative" in distance:
        parts.append(f"lacks {distance['relative']:.1%} of its W")
    if "places" in distance:
        parts.append(f"lies {_plural(int(distance['places']), 'place')} from it")
    said = f"; the answer {' and '.join(parts)}" if parts else ""
    optimum = next(point for point in results.points if point.name == results.optimum)
    return f"The brute-force optimum is {optimum.name}, {described(optimum, results)}{said}."


def bounds(results: SearchResults) -> str:
    """What the published bound and ours say."""
    guarantee = results.guarantee
    bound = guarantee.published_bound
    if guarantee.eps == 1:
        published = "The published bound, |1 - ε| of the optimum's W, is 0: the cover is all candidates."
    else:
        published = (
            f"The published bound says that at most |1 - ε| = {bound:g} times the optimum's W is missing; "
            "as W is never negative, that excludes nothing."
        )
    if guarantee.upper_bound is None or guarantee.at_most_lost is None:
        return (
            f"{published} There is no upper bound of ours: too little is known of the candidates that were not tried."
        )
    answer = next(point for point in results.points if point.name == results.best)
    is_less = answer.w is not None and answer.w < guarantee.best_w * (1 - ROUNDING)
    own = f" The answer itself has {significant(answer.w)}." if answer.w is not None and is_less else ""
    return (
        f"{published} The upper bound of ours: no candidate has a W above {significant(guarantee.upper_bound)} if no "
        f"error rises along the order by more than a factor of {significant(guarantee.rise, 3)}, the largest rise that "
        f"was seen; the highest W of the cover is {significant(guarantee.best_w)}, so at most "
        f"{guarantee.at_most_lost:.1%} is missing.{own}"
    )


def guarantee_numbers(results: SearchResults) -> dict[str, str]:
    """The numbers of the guarantee, and those of the answer beside the brute-force optimum, as name -> text."""
    guarantee = results.guarantee
    numbers = {
        "ε": float(guarantee.eps),
        "published bound": guarantee.published_bound,
        "highest W of the cover": guarantee.best_w,
        "upper bound of W": guarantee.upper_bound,
        "part that may be missing by it": guarantee.at_most_lost,
        "largest rise of an error": guarantee.rise,
        **{f"beside the optimum: {name.replace('_', ' ')}": value for name, value in (results.distance or {}).items()},
    }
    return {name: "none" if value is None else f"{value:.6g}" for name, value in numbers.items()}


def times(results: SearchResults) -> str:
    """Where the times come from; empty without any."""
    measured = [point for point in results.points if point.latency_ms is not None and point.is_measured]
    num_predicted = sum(point.latency_ms is not None and not point.is_measured for point in results.points)
    if not measured and not num_predicted:
        return ""
    said = f"Times of {_plural(len(measured), 'candidate')} were measured"
    if not num_predicted:
        return f"{said}."
    said += f", those of {num_predicted:,} are predicted by a latency model"
    model = results.latency_model
    if model is None:
        return f"{said}."
    errors = [
        f"{kind} {model[key]:.1%}"
        for key, kind in (("median_error", "median"), ("max_error", "largest"))
        if key in model and math.isfinite(model[key])
    ]
    fitted = f" fitted to {model['num_measured']:,.0f} measured points" if "num_measured" in model else ""
    return f"{said}{fitted}{'; its relative error: ' if errors else ''}{', '.join(errors)}."
