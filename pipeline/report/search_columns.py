"""Columns of the tables of a search."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from pipeline.report.columns import Column, number_column
from pipeline.report.results import MIB
from pipeline.report.search_costs import BYTES_KEY, Front, in_words, known_costs, marked
from pipeline.report.search_numbers import counted, significant
from pipeline.report.search_results import SearchPoint, SearchResults

STATES = ("tried", "given up", "diverged", "not tried")  # in the order in which a table sorts them


def cost_columns(results: SearchResults) -> list[Column[SearchPoint]]:
    """Every cost that any candidate has, and its time."""
    keys = list(dict.fromkeys(key for point in results.points for key in point.costs))
    columns = [_cost_column(key) for key in keys]
    if any(point.latency_ms is not None for point in results.points):
        meaning = "median time of one sequence; ~ where the latency model predicts it"
        columns.append(Column(title="ms", meaning=meaning, value=lambda point: point.latency_ms, text=latency_text))
    return columns


def _cost_column(key: str) -> Column[SearchPoint]:
    def cost(point: SearchPoint) -> float | None:
        return point.costs.get(key)

    def mib(point: SearchPoint) -> str:
        return "-" if key not in point.costs else significant(point.costs[key] / MIB)

    def operations(point: SearchPoint) -> str:
        return "-" if key not in point.costs else counted(point.costs[key])

    if key == BYTES_KEY:
        text = "weights on disk; the csv has the bytes"
        return Column(title="MiB", meaning=text, value=cost, text=mib)
    if key == "operations":
        return Column(title=key, meaning="of one forward pass", value=cost, text=operations)
    return number_column(key, "of the network", cost, "{:,.0f}")


def latency_text(point: SearchPoint) -> str:
    """The time with its interval; a prediction is marked."""
    if point.latency_ms is None:
        return "-"
    ends = point.latency_interval_ms
    interval = "" if ends is None else f" ({significant(ends[0], 3)} to {significant(ends[1], 3)})"
    return f"{'' if point.is_measured else '~ '}{significant(point.latency_ms, 3)}{interval}"


def error_text(point: SearchPoint) -> str:
    """The error at the last step, with the spread over seeds; at which step where it was given up."""
    if not point.errors:
        return "-"
    step = max(point.errors)
    spread = "" if point.error_spread is None else f" ± {significant(point.error_spread, 2)}"
    at = "" if point.state == "tried" else f" at step {step:,}"
    if not math.isfinite(point.errors[step]):
        return f"diverged by step {step:,}"
    return f"{significant(point.errors[step])}{spread}{at}"


def w_text(point: SearchPoint) -> str:
    """W; that of a candidate that was not tried to the end is in brackets."""
    if point.w is None:
        return "-"
    return significant(point.w) if point.state == "tried" else f"({significant(point.w)})"


def ranks_by_w(results: SearchResults) -> dict[str, int]:
    """Place by W of every candidate that was tried to the end, from 1; equal ones share the better place."""
    known = {point.name: point.w for point in results.points if point.state == "tried" and point.w is not None}
    return {name: 1 + sum(other > w for other in known.values()) for name, w in known.items()}


def saved(key: str, results: SearchResults, costs: Mapping[str, float]) -> float | None:
    """What is saved of T's cost, in percent; none where either is not known."""
    maximum, cost = results.maximum.get(key), costs.get(key)
    return None if not maximum or cost is None else 100 * (1 - cost / maximum)


def saving_columns(results: SearchResults) -> list[Column[SearchPoint]]:
    """The two factors of W that need no training."""

    def value(key: str, point: SearchPoint) -> float | None:
        return saved(key, results, known_costs(point))

    parts = (("size saved", results.size_cost), ("inference saved", results.inference_cost))
    return [number_column(title, f"of T's {in_words(key)}", partial(value, key), "{:.1f}%") for title, key in parts]


def quality_columns(results: SearchResults) -> list[Column[SearchPoint]]:
    """Error, W, and the place by W."""
    ranks = ranks_by_w(results)

    def rank(point: SearchPoint) -> float | None:
        return ranks.get(point.name)

    return [
        Column(
            title="error",
            meaning=f"{results.error_name}, ± standard deviation over seeds",
            value=lambda point: point.error,
            text=error_text,
        ),
        Column(
            title="W",
            meaning="size saved times inference saved over the error; in brackets that of an earlier step",
            value=lambda point: point.w if point.state == "tried" else None,
            text=w_text,
        ),
        number_column("W rank", "among those that were tried to the end", rank, "{:.0f}"),
    ]


def roles(results: SearchResults) -> dict[str, str]:
    """Name of a candidate -> what it is besides, in words; only those that are anything."""
    found = marked(results)
    for name in results.chosen:
        found.setdefault(name, []).append("for a sweep")
    return {name: ", ".join(words) for name, words in found.items()}


def place_column(results: SearchResults) -> Column[SearchPoint]:
    """The place in the order of the search."""
    places = {point.name: float(place) for place, point in enumerate(results.points, 1)}
    return number_column("place", "in the order of the search, cheapest first", lambda p: places[p.name], "{:.0f}")


def role_column(results: SearchResults) -> Column[SearchPoint]:
    """What a candidate is besides; sorts by how much that is."""
    words = roles(results)
    return Column(
        title="marked",
        meaning="the answer, the brute-force optimum, architectures with a name, what a sweep would train",
        value=lambda point: float(point.name in words),
        text=lambda point: words.get(point.name, ""),
    )


def candidate_columns(results: SearchResults, front: Front) -> list[Column[SearchPoint]]:
    """The columns of the table of all candidates."""
    numbers = front.numbers
    state = Column[SearchPoint](
        title="state",
        meaning="what became of it",
        value=lambda point: float(-STATES.index(point.state)),
        text=lambda point: point.state,
    )
    cover = Column[SearchPoint](
        title="cover",
        meaning="whether it is in the eps-cover",
        value=lambda point: float(point.in_cover),
        text=lambda point: "yes" if point.in_cover else "",
    )
    on_front = Column[SearchPoint](
        title="front",
        meaning="its number on the Pareto front",
        value=lambda point: numbers.get(point.name),
        text=lambda point: str(numbers.get(point.name, "")),
    )
    return [
        place_column(results),
        state,
        cover,
        *(without_interval(column) for column in cost_columns(results)),
        *quality_columns(results),
        on_front,
        *saving_columns(results),
        role_column(results),
    ]


def front_columns(results: SearchResults, front: Front) -> list[Column[SearchPoint]]:
    """The columns of the table of the Pareto front."""
    numbers = front.numbers
    number: Column[SearchPoint] = number_column("no.", "as in the plots", lambda p: float(numbers[p.name]), "{:.0f}")
    return [number, *cost_columns(results), *quality_columns(results), place_column(results), role_column(results)]


def without_interval(column: Column[SearchPoint]) -> Column[SearchPoint]:
    """Times alone, where a table has many columns."""

    def text(point: SearchPoint) -> str:
        return column.text(replace(point, latency_interval_ms=None))

    return replace(column, text=text)
