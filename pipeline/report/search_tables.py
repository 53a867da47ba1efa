"""Tables of a search: all candidates, the Pareto front, what is marked in the plots, the assumptions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from pipeline.console.tables import markdown_table
from pipeline.report.columns import Column
from pipeline.report.results import write_csv
from pipeline.report.search_columns import (
    candidate_columns,
    cost_columns,
    front_columns,
    place_column,
    quality_columns,
    ranks_by_w,
    roles,
    saving_columns,
    without_interval,
)
from pipeline.report.search_costs import LATENCY_KEY, Front, candidate_of, pareto_front_of
from pipeline.report.search_results import SearchPoint, SearchResults


def marked_rows(results: SearchResults, front: Front) -> list[list[str]]:
    """Head and lines: answer, optimum, architectures with a name of their own, what a sweep would train, and T."""
    by_name = {point.name: point for point in results.points}
    costs, savings = [without_interval(column) for column in cost_columns(results)], saving_columns(results)
    earned = [*quality_columns(results), place_column(results)]
    columns = [*costs, *savings, *earned]
    lines = [["", "architecture", *(column.title for column in columns), "front"]]
    for name, words in roles(results).items():
        point, number = by_name[name], front.numbers.get(name)
        texts = [column.text(point) for column in columns]
        lines.append([words, name, *texts, "-" if number is None else str(number)])
    strangers = {
        name: known for name, known in results.named.items() if candidate_of(name, known, results.points) is None
    }
    about = dict.fromkeys(strangers, "no candidate") | {"T": "the maximum point"}
    for name, known in {**strangers, "T": results.maximum}.items():
        stranger = _of_costs_alone(name, known)
        texts = [column.text(stranger) for column in [*costs, *savings]]
        lines.append([name, about[name], *texts, *["-"] * (len(earned) + 1)])
    return lines


def _of_costs_alone(name: str, costs: Mapping[str, float]) -> SearchPoint:
    """An architecture outside of the space, so that the columns of a candidate can be read from it."""
    return SearchPoint(
        name=name,
        costs={key: value for key, value in costs.items() if key != LATENCY_KEY},
        latency_ms=costs.get(LATENCY_KEY),
        latency_interval_ms=None,
        is_measured=True,
        errors={},
        error_spread=None,
        w=None,
        state="not tried",
        in_cover=False,
    )


def assumption_rows(results: SearchResults) -> list[list[str]]:
    """Head and lines."""
    lines = [["assumption", "standing here", "evidence"]]
    return lines + [[one.name, str(one.standing), one.evidence] for one in results.guarantee.assumptions]


def rows(points: Sequence[SearchPoint], columns: Sequence[Column[SearchPoint]]) -> list[list[str]]:
    """Head and lines as text."""
    head = ["candidate", *(column.title for column in columns)]
    return [head, *([point.name, *(column.text(point) for column in columns)] for point in points)]


def search_records(results: SearchResults, front: Front) -> list[dict[str, str | float]]:
    """What the csv holds of every candidate: every number to the last digit, under names that bear units."""
    ranks, numbers, words, lines = ranks_by_w(results), front.numbers, roles(results), []
    costs = list(dict.fromkeys(key for point in results.points for key in point.costs))
    steps = sorted({step for point in results.points for step in point.errors})
    for place, point in enumerate(results.points, 1):
        low, high = point.latency_interval_ms or (None, None)
        kind = None if point.latency_ms is None else "measured" if point.is_measured else "predicted"
        line: dict[str, str | float | None] = {
            "candidate": point.name,
            "place": place,
            "state": point.state,
            "in_cover": str(point.in_cover).lower(),
            **{key: point.costs.get(key) for key in costs},
            "latency_ms": point.latency_ms,
            "latency_low_ms": low,
            "latency_high_ms": high,
            "latency_is": kind,
            "error": point.error,
            "error_spread": point.error_spread,
            "w": point.w,
            "rank_by_w": ranks.get(point.name),
            "front_number": numbers.get(point.name),
            "marked": words.get(point.name),
            **{f"error_at_step_{step}": point.errors.get(step) for step in steps},
        }
        lines.append({name: "" if value is None else value for name, value in line.items()})
    return lines


def write_search_tables(results: SearchResults, folder: Path) -> None:
    """`results.csv` and `results.md` in a folder."""
    front = pareto_front_of(results)
    write_csv(search_records(results, front), folder / "results.csv")
    pages = {
        "Answer and marked points": marked_rows(results, front),
        "Pareto front": rows(front.points, front_columns(results, front)),
        "Assumptions": assumption_rows(results),
        "All candidates": rows(results.points, candidate_columns(results, front)),
    }
    texts = [f"## {title}\n\n{markdown_table(lines)}" for title, lines in pages.items()]
    words = "\n\n".join([f"# {results.title}", results.rule, *texts])
    (folder / "results.md").write_text(f"{words}\n", encoding="utf-8")
