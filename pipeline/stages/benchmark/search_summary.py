"""What rankers and loops did on a table, as rows and as tables for people."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.console.tables import text_table
from pipeline.search.rank_correlation import kendall, spearman
from pipeline.search.rankers import Ranker, cost_rankers, error_rankers, score_rankers
from pipeline.search.table import SearchTable

RANDOM = "random search"
PERCENT = 100  # what W lacks is a part of it


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One loop on one draw.

    Args:
        goal: its name.
        is_w: whether the goal is W, so that the regret is a part of it.
        loop: its name.
        budget: in whole trainings.
        draw: training seed of the table and seed of the draw.
        regret: of its answer.
        spent: steps.
    """

    goal: str
    is_w: bool
    loop: str
    budget: float
    draw: tuple[int, int]
    regret: float
    spent: int


def judged(tables: Sequence[SearchTable]) -> list[dict[str, Any]]:
    """Rank correlations of every ranker with the final errors: mean over training seeds, and all of them."""
    rows = []
    for rankers in zip(*(_rankers(table) for table in tables), strict=True):
        pairs = [(ranker.values, table.final_error) for ranker, table in zip(rankers, tables, strict=True)]
        row: dict[str, Any] = {"ranker": rankers[0].name, "steps": rankers[0].steps}
        for name, correlation in (("spearman", spearman), ("kendall", kendall)):
            found = [correlation(*pair) for pair in pairs]
            known = [value for value in found if value is not None]
            row |= {name: statistics.mean(known) if known else None, f"{name}_by_seed": found}
        rows.append(row)
    return rows


def _rankers(table: SearchTable) -> list[Ranker]:
    return [*cost_rankers(table), *score_rankers(table), *error_rankers(table)]


def between_seeds(tables: Sequence[SearchTable]) -> float | None:
    """Mean Spearman of final errors between two training seeds: what no ranker can be expected to exceed by much."""
    pairs = [(a, b) for index, a in enumerate(tables) for b in tables[:index]]
    found = [spearman(a.final_error, b.final_error) for a, b in pairs]
    known = [value for value in found if value is not None]
    return statistics.mean(known) if known else None


def summaries(trials: Sequence[Trial]) -> list[dict[str, Any]]:
    """A row per goal, loop and budget, over the draws in which the budget paid for an answer.

    It says in how many that was, and how often the loop did better and worse than random search, which always answers.
    """
    by_cell: dict[tuple[str, str, float], list[Trial]] = {}
    for trial in trials:
        by_cell.setdefault((trial.goal, trial.loop, trial.budget), []).append(trial)
    rows = []
    for (goal, loop, budget), cell in by_cell.items():
        regrets = np.array([trial.regret for trial in cell])
        has_spread = len(cell) > 1 and bool(np.isfinite(regrets).all())
        at_random = {trial.draw: trial.regret for trial in by_cell[goal, RANDOM, budget]}
        rows.append(
            {
                "goal": goal,
                "is_w": cell[0].is_w,
                "loop": loop,
                "budget": budget,
                "num_draws": len(at_random),
                "num_answers": len(cell),
                "regret": _finite(regrets.mean()),
                "deviation": float(regrets.std(ddof=1)) if has_spread else None,
                "lowest": _finite(regrets.min()),
                "highest": _finite(regrets.max()),
                "better_than_random": sum(trial.regret < at_random[trial.draw] for trial in cell),
                "worse_than_random": sum(trial.regret > at_random[trial.draw] for trial in cell),
                "mean_steps_spent": statistics.fmean(trial.spent for trial in cell),
            }
        )
    return rows


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def heading(facts: Mapping[str, Any]) -> str:
    """What was measured, and on what."""
    between = facts["between_training_seeds"]
    return (
        f"{facts['num_candidates']} candidates of {facts['table']}, {facts['num_offered']} of them offered in a draw; "
        f"a whole training: {facts['steps_of_a_training']:,} {facts['unit']}"
        + (f"; Spearman between training seeds: {between:.3f}" if between is not None else "")
    )


def ranker_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rank correlations, for a terminal."""
    lines = [["ranker", "steps", "spearman", "kendall"]]
    for row in rows:
        numbers = ("-" if row[name] is None else f"{row[name]:.3f}" for name in ("spearman", "kendall"))
        lines.append([row["ranker"], f"{row['steps']:,}", *numbers])
    return text_table(lines)


def regret_tables(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Regrets, a table per goal, for a terminal; in brackets how many draws had an answer where not all had one."""
    budgets = sorted({row["budget"] for row in rows})
    cells = {(row["goal"], row["loop"], row["budget"]): row for row in rows}
    for goal in dict.fromkeys(row["goal"] for row in rows):
        lines = [[f"regret: {goal}", *(f"budget {budget:g}" for budget in budgets)]]
        for loop in dict.fromkeys(row["loop"] for row in rows if row["goal"] == goal):
            lines.append([loop, *(_regret(cells.get((goal, loop, budget))) for budget in budgets)])
        yield text_table(lines)


def _regret(row: Mapping[str, Any] | None) -> str:
    if row is None:
        return "-"
    if row["regret"] is None:
        return "diverged"
    factor = PERCENT if row["is_w"] else 1
    answers = "" if row["num_answers"] == row["num_draws"] else f" ({row['num_answers']} of {row['num_draws']})"
    return f"{factor * row['regret']:.2f} ± {factor * (row['deviation'] or 0):.2f}{answers}"
