"""Benchmark `search`: rankers and search loops on a table of architectures that were all trained to the end.

Rankers are held against the final errors of the whole table. Loops are given parts of it: a seed draws which candidates
are offered and in which order, the same ones to all loops, and each looks for the best of these at the same budget. T
and the limits are those of the whole table.

    spearman, kendall  between the ranker's order and that of the final errors; 1: it is the same
    steps              that looking at one candidate costs
    regret             what an answer lacks of the best one that is offered and allowed: under a limit on size its error
                       above the least, for W the missing part in percent; mean and standard deviation of all draws
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.config.errors import UserError
from pipeline.config.jobs.benchmark import BenchmarkJob
from pipeline.config.sections.benchmark import SearchBenchmarkConfig
from pipeline.console.progress import ProgressBar
from pipeline.search.cover import Cost
from pipeline.search.goals import CostColumns, Goal, highest_w, least_error
from pipeline.search.loops import Loop, by_ranker, ose, random_search, successive_halving
from pipeline.search.rankers import cost_rankers, error_name, error_rankers, saving_ranker, score_rankers
from pipeline.search.table import SearchTable
from pipeline.search.table_file import read_tables
from pipeline.stages.benchmark.search_summary import (
    RANDOM,
    Trial,
    between_seeds,
    heading,
    judged,
    ranker_table,
    regret_tables,
    summaries,
)

log = logging.getLogger(__name__)


def run(config: BenchmarkJob) -> dict[str, Any]:
    """Judge rankers and loops on a table, and print a table of each.

    Raises:
        UserError: a table that cannot be read, costs that it does not have, a budget above what is offered.
    """
    settings = config.benchmark.search
    tables = read_tables(Path(settings.table))
    first = tables[0]
    num_offered = max(2, round(settings.offered * len(first.names)))
    if (largest := max(settings.budgets)) > num_offered:
        raise UserError(
            f"a budget of {largest:g} whole trainings where {num_offered} of {len(first.names)} candidates are offered",
            f"budgets up to {num_offered}",
            "lower benchmark.search.budgets or raise benchmark.search.offered",
        )
    columns = CostColumns(size=settings.size, inference=settings.inference)
    limits = sorted({columns.limit(first, part) for part in settings.limits})
    bar, trials = ProgressBar("draws", len(tables) * settings.num_seeds), list[Trial]()
    for table in tables:
        for seed in range(config.seed, config.seed + settings.num_seeds):
            offered = table.offered(np.random.default_rng((seed, 0)).permutation(len(table.names))[:num_offered])
            trials += _trials(settings, offered, columns.maximum(table), columns, limits, seed)
            bar.update(bar.done + 1, f"seed {seed}")
    bar.close()
    rankers, regrets = judged(tables), summaries(trials)
    facts = {
        "table": str(settings.table),
        "num_candidates": len(first.names),
        "num_offered": num_offered,
        "training_seeds": [table.seed for table in tables],
        "draw_seeds": [config.seed, config.seed + settings.num_seeds - 1],
        "unit": first.unit,
        "steps_of_a_training": first.end,
        "between_training_seeds": between_seeds(tables),
    }
    log.info("\n" + "\n\n".join([heading(facts), ranker_table(rankers), *regret_tables(regrets)]))
    return {**facts, "rankers": rankers, "regrets": regrets}


def _trials(
    settings: SearchBenchmarkConfig,
    table: SearchTable,
    maximum: Cost,
    columns: CostColumns,
    limits: Sequence[float],
    seed: int,
) -> Iterator[Trial]:
    """Every loop on what is offered, for every goal, at every budget."""
    goals = [highest_w(table, columns, maximum), *(least_error(table, columns, limit) for limit in limits)]
    for goal in goals:
        for name, loop in _loops(table, goal, settings.eta).items():
            for budget in sorted(set(settings.budgets)):
                answer = loop(table, goal, int(budget * table.end), np.random.default_rng((seed, 1)))
                if answer is not None:
                    yield Trial(
                        goal=goal.name,
                        is_w=goal.by_weight,
                        loop=name,
                        budget=budget,
                        draw=(table.seed, seed),
                        regret=goal.regret(table, answer.candidate),
                        spent=answer.spent,
                    )


def _loops(table: SearchTable, goal: Goal, eta: int) -> Mapping[str, Loop]:
    """By name: the searches, then who trains the first candidates of a ranker."""
    loops: dict[str, Loop] = {
        RANDOM: random_search,
        f"successive halving, eta {eta}": successive_halving(eta),
        "OSE, trained to the end": ose(table.final, table.end),
    }
    for group, errors in table.errors.items():
        steps = min(errors)
        loops[f"OSE, {error_name(table, group, steps)}"] = ose(group, steps)
    costs = [saving_ranker(table, goal)] if goal.by_weight else cost_rankers(table)
    for ranker in (*costs, *score_rankers(table), *error_rankers(table)):
        loops[f"first by {ranker.name}"] = by_ranker(ranker)
    return loops
