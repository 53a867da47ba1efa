"""Orders of candidates that are known before any of them was trained to the end, and what it costs to know them."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.search.goals import Goal
from pipeline.search.table import Numbers, SearchTable


@dataclass(frozen=True, kw_only=True)
class Ranker:
    """An order of all candidates.

    Args:
        name: for people.
        values: (candidates,), the less the better.
        steps: what it costs to look at one candidate.
        remaining: steps that a candidate still takes to the end after it was looked at.
        is_error: whether the values are errors, so that a merit can be computed of them.
    """

    name: str
    values: Numbers
    steps: int
    remaining: int
    is_error: bool

    def order_values(self, goal: Goal) -> Numbers:
        """The order in which a goal takes the allowed candidates, the less the sooner; (allowed,)."""
        values = self.values[goal.allowed]
        return -goal.merit(goal.allowed, values) if self.is_error else values


def cost_rankers(table: SearchTable) -> list[Ranker]:
    """By every cost, dearest first."""
    return [_free(table, name, -values) for name, values in table.costs.items()]


def score_rankers(table: SearchTable) -> list[Ranker]:
    """By every training-free score; a batch or two are no step."""
    return [_free(table, name, -values) for name, values in table.scores.items()]


def error_rankers(table: SearchTable) -> list[Ranker]:
    """By the error after every number of steps, in every group, but the final error."""
    found = []
    for group, errors in table.errors.items():
        is_final = group == table.final
        for steps, values in errors.items():
            if is_final and steps == table.end:
                continue
            remaining = table.end - steps if is_final else table.end
            name = error_name(table, group, steps)
            found.append(Ranker(name=name, values=values, steps=steps, remaining=remaining, is_error=True))
    return found


def error_name(table: SearchTable, group: str, steps: int) -> str:
    """How an error is called; the group where there are several."""
    return f"error after {steps:,}" + (f", {group}" if len(table.errors) > 1 else "")


def saving_ranker(table: SearchTable, goal: Goal) -> Ranker:
    """By what a candidate saves against T, the part of W that needs no training."""
    return _free(table, "saving", -goal.weights)


def _free(table: SearchTable, name: str, values: Numbers) -> Ranker:
    return Ranker(name=name, values=values, steps=0, remaining=table.end, is_error=False)
