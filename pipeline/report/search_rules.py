"""Vertical lines of a plot against a cost: T, architectures that have costs alone, limits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pipeline.report.search_costs import CostAxis, candidate_of
from pipeline.report.search_label_places import CHARACTER_WIDTH
from pipeline.report.search_numbers import counted, shortened
from pipeline.report.search_results import SearchResults
from pipeline.report.search_scale import Scale


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A vertical line with its name above the plot: T, an architecture that has costs alone, a limit.

    Args:
        text: what is written at it.
        x: the cost; where `arrow` is given it lies outside of the plot.
        row: of the name, counted upwards.
        arrow: which way it lies outside.
        is_limit: whether what lies to the right costs too much.
    """

    text: str
    x: float
    row: int
    arrow: str
    is_limit: bool


def rules_of(results: SearchResults, axis: CostAxis, x: Scale, drawn: set[str]) -> list[Rule]:
    """A line further away than the plot is wide would squeeze the points: it is only pointed at."""
    found: dict[float, list[str]] = {}
    maximum, limit = axis.of(results.maximum), results.limits.get(axis.limit)
    if maximum is not None:
        found.setdefault(maximum, []).append("T")
    for name, costs in results.named.items():
        candidate, value = candidate_of(name, costs, results.points), axis.of(costs)
        if value is not None and (candidate is None or candidate.name not in drawn):
            names = found.setdefault(value, [])
            names += [] if (short := shortened(name)) in names else [short]  # T may be among the named ones
    rules = [(value, ", ".join(names), False) for value, names in found.items()]
    rules += [(limit, f"at most {counted(limit)} {axis.short}", True)] if limit is not None else []
    lines = []
    for value, text, is_limit in rules:
        place = x.place(value) if value > 0 or not x.is_log else -2.0
        arrow = "←" if place < -1 else "→" if place > 2 else ""
        said = text if is_limit or not arrow else f"{text} {counted(value)}"
        written = {"": said, "←": f"← {said}", "→": f"{said} →"}[arrow]
        lines.append(Rule(text=written, x=value, row=0, arrow=arrow, is_limit=is_limit))
    return lines


def anchor(rule: Rule, x: Scale) -> tuple[float, str]:
    """Where the name of a line stands, as a part of the width, and which end of it: left, center or right."""
    place = 0.0 if rule.arrow == "←" else 1.0 if rule.arrow == "→" else x.place(rule.x)
    half = CHARACTER_WIDTH * len(rule.text) / 2
    return place, "left" if place < half else "right" if place > 1 - half else "center"


def in_rows(rules: Sequence[Rule], x: Scale) -> list[Rule]:
    """Names that would cover one another stand in rows above one another."""
    placed: list[Rule] = []
    taken: list[tuple[float, float, int]] = []
    for rule in sorted(rules, key=lambda rule: rule.x):
        place, end = anchor(rule, x)
        width = CHARACTER_WIDTH * (len(rule.text) + 1)
        left = place - {"left": 0.0, "center": 0.5, "right": 1.0}[end] * width
        rows = {row for other_left, other_right, row in taken if left < other_right and other_left < left + width}
        row = next(row for row in range(len(rules)) if row not in rows)
        taken.append((left, left + width, row))
        placed.append(replace(rule, row=row))
    return placed
