"""Search loops on tables."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from search_tables import rows_of, trained_tables

from pipeline.search.fptas import search
from pipeline.search.goals import CostColumns, highest_w, least_error
from pipeline.search.loops import by_ranker, num_trained_after, ose, random_search, rungs_of, successive_halving
from pipeline.search.rankers import cost_rankers, error_rankers, score_rankers
from pipeline.search.table import tables_of

COLUMNS = CostColumns(size="parameters", inference="operations")
SEEDS = st.integers(0, 9)


def goals_of(table):
    """W, and the least error under two limits."""
    limits = [COLUMNS.limit(table, part) for part in (0.5, 1.0)]
    return [
        highest_w(table, COLUMNS, COLUMNS.maximum(table)),
        *(least_error(table, COLUMNS, limit) for limit in limits),
    ]


def loops_of(table):
    """All there are."""
    rankers = [*cost_rankers(table), *score_rankers(table), *error_rankers(table)]
    covers = [ose("scratch", steps) for steps in (1, 2, 8)]
    return [random_search, successive_halving(2), successive_halving(3), *covers, *map(by_ranker, rankers)]


@given(trained_tables(), st.integers(0, 120), SEEDS)
def test_no_loop_spends_more_than_its_budget(table, budget, seed):
    """Its answer's training to the end included; what it answers is allowed. None answers below one whole training."""
    for goal in goals_of(table):
        for loop in loops_of(table):
            answer = loop(table, goal, budget, np.random.default_rng(seed))
            assert answer is None or (table.end <= answer.spent <= budget and answer.candidate in goal.allowed)
            assert answer is None or budget >= table.end


@given(trained_tables(), SEEDS)
def test_who_may_train_everything_to_the_end_has_no_regret(table, seed):
    """Random search, an ε-cover with ε = 1, the first by any order; halving, where all reach the end."""
    for goal in goals_of(table):
        rankers = [*cost_rankers(table), *error_rankers(table)]
        for loop in (random_search, successive_halving(2), ose("scratch", 8), *map(by_ranker, rankers)):
            answer = loop(table, goal, 10 * table.end * len(table.names), np.random.default_rng(seed))
            assert goal.regret(table, answer.candidate) == 0


@given(trained_tables(), SEEDS)
def test_regret_falls_with_the_budget_where_choices_are_nested(table, seed):
    """Who trains one more of the same order never does worse: random search and rankers."""
    for goal in goals_of(table):
        for loop in (random_search, *map(by_ranker, [*cost_rankers(table), *error_rankers(table)])):
            answers = [loop(table, goal, budget, np.random.default_rng(seed)) for budget in range(8, 130, 7)]
            regrets = [goal.regret(table, answer.candidate) for answer in answers if answer is not None]
            assert regrets == sorted(regrets, reverse=True)


@given(trained_tables(), st.integers(8, 120), st.sampled_from([1, 2, 8]))
def test_the_cover_is_that_of_the_search(table, budget, steps):
    """For W the answer is that of `fptas.search` with the least ε whose cover the budget pays for."""
    goal = goals_of(table)[0]
    answer = ose("scratch", steps)(table, goal, budget, np.random.default_rng(0))
    costs, num = COLUMNS.of(table), len(table.names)
    fitting = [eps for eps in range(1, num + 1) if math.ceil(num / eps) * steps + 8 - steps <= budget]
    found = search(
        range(num),
        costs.__getitem__,
        lambda index, _: float(table.errors["scratch"][steps][index]),
        hyper_parameters=[None],
        eps=fitting[0],
    )
    assert answer.candidate == found.best.candidate.architecture
    assert answer.spent == len(found.trials) * steps + 8 - steps


def test_a_ranker_pays_for_looking_at_everything():
    """Four candidates, a step each, seven more to the end: 11 steps pay for one answer, 10 for none."""
    (table,) = tables_of(rows_of([(4, 9, 1.0), (1, 9, 4.0), (2, 9, 3.0), (3, 9, 2.0)]))
    ranker, goal = error_rankers(table)[0], goals_of(table)[2]
    loop, rng = by_ranker(ranker), np.random.default_rng(0)
    assert [num_trained_after(ranker, 4, budget) for budget in (3, 10, 11, 18, 999)] == [-1, 0, 1, 2, 4]
    assert loop(table, goal, 10, rng) is None
    one, two = (loop(table, goal, budget, rng) for budget in (11, 18))
    assert (one.candidate, one.spent) == (1, 11) and (two.candidate, two.spent) == (2, 18)


def test_equal_ones_are_taken_at_random():
    """A ranker that says nothing is random search."""
    (table,) = tables_of(rows_of([(1, 1, 1.0), (1, 1, 2.0), (1, 1, 3.0)], [(5, 5)] * 3))
    loop, goal = by_ranker(cost_rankers(table)[0]), goals_of(table)[2]
    answers = {loop(table, goal, 8, np.random.default_rng(seed)).candidate for seed in range(30)}
    assert answers == {0, 1, 2}


@pytest.mark.parametrize("seed", range(24))
def test_halving_promotes_whoever_is_among_the_best_of_its_rung(seed):
    """Rungs 1, 2, 8 and eta 2, budgets by hand: a whole training more than it takes to start and promote."""
    (table,) = tables_of(rows_of([(1.0 + one, 1.0 + one, 1.0 + one) for one in range(4)]))
    goal, loop = goals_of(table)[2], successive_halving(2)
    first, second, third, _ = np.random.default_rng(seed).permutation(goal.allowed).tolist()
    expected = {8: first, 9: min(first, second), 10: min(first, second), 11: min(first, second, third)}
    for budget, candidate in expected.items():
        answer = loop(table, goal, budget, np.random.default_rng(seed))
        assert (answer.candidate, answer.spent) == (candidate, budget)


@pytest.mark.parametrize(
    ("steps", "eta", "rungs"),
    [
        ((1, 2, 4, 8), 2, [1, 2, 4, 8]),
        ((1, 2, 4, 8), 3, [1, 8]),
        ((3, 10, 30, 100, 1000), 3, [3, 10, 30, 100, 1000]),
        ((3, 10, 30, 100, 120), 4, [3, 30, 120]),
        ((5,), 2, [5]),
    ],
)
def test_rungs_are_eta_apart_and_end_at_the_end(steps, eta, rungs):
    """As far as the table has errors there."""
    rows = rows_of([(1, 1, 1)] * 2, errors={"scratch": dict.fromkeys(steps, 1.0)})
    assert rungs_of(tables_of(rows)[0], eta) == rungs
