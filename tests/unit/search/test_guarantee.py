"""What may be said of an answer is true of it."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from search_tables import tables

from pipeline.config.errors import UserError
from pipeline.search.cover import Cost
from pipeline.search.fptas import search
from pipeline.search.guarantee import Standing, largest_rise, num_inversions

COSTS = [Cost(size=1 + index, inference=1 + index) for index in range(5)]


def found_of(errors, eps, costs=COSTS, **settings):
    return search(
        range(len(costs)), costs.__getitem__, lambda one, _: errors[one], hyper_parameters=[0], eps=eps, **settings
    )


def standing(found, words):
    (one,) = [assumption for assumption in found.guarantee.assumptions if words in assumption.name]
    return one.standing


def test_the_numbers_by_hand():
    """Five candidates, every second is tried: what lies behind the first has at best the error of the third."""
    guarantee = found_of([8, 4, 4, 2, 1], 2).guarantee
    assert guarantee.published_bound == 1 and "excludes nothing" in guarantee.words
    assert guarantee.best_w == (4 / 5) ** 2 / 8
    assert guarantee.upper_bound == (3 / 5) ** 2 / 4
    assert guarantee.at_most_lost == pytest.approx(1 - 0.08 / 0.09)
    assert "at most 11.1% is missing" in guarantee.words


def test_trying_everything_leaves_nothing_open():
    """Both bounds are 0 then, and the order of errors is known."""
    found = found_of([8, 4, 4, 2, 1], 1)
    assert (found.guarantee.published_bound, found.guarantee.at_most_lost) == (0, 0)
    assert "the cover is all candidates" in found.guarantee.words
    assert standing(found, "errors do not rise") is Standing.HOLDS


def test_errors_that_rise_weaken_the_bound():
    """By the largest factor that was seen, over all pairs that were tried; the words say which assumption fails."""
    found = found_of([1, 9, 2, 9, 3], 2)
    assert found.guarantee.rise == 3
    assert found.guarantee.upper_bound == (4 / 5) ** 2  # of the first; behind it no error is below 3 / 3
    assert found_of([40, 2, 2, 3, 4], 2).guarantee.upper_bound == (3 / 5) ** 2 / (4 / 2)  # what the second really has
    assert standing(found, "errors do not rise") is Standing.FAILS
    assert "2 of 2 steps" in found.guarantee.words and "a factor of 3, the largest that" in found.guarantee.words


def test_training_that_diverges_behind_one_that_did_not_leaves_no_bound():
    """Unless a least error is known; where it diverges first nothing is lost."""
    assert found_of([4, 3, math.inf, 2, 1], 2).guarantee.upper_bound is None
    assert found_of([4, 3, math.inf, 2, 1], 2, least_error=1).guarantee.upper_bound == (3 / 5) ** 2
    assert found_of([math.inf, 3, 3, 2, 1], 2).guarantee.upper_bound == (3 / 5) ** 2 / 3


def test_nothing_is_known_behind_the_last_tried_candidate_but_what_the_caller_knows():
    """Without a least error there might be one with none; with one it bounds them."""
    assert found_of([8, 4, 4, 2, 1], 3).guarantee.upper_bound is not None  # T itself saves nothing
    assert found_of([8, 4, 4, 2, 1], 4).guarantee.upper_bound is not None
    assert found_of([8, 4, 4, 2, 1], 5).guarantee.upper_bound is None
    assert "upper bound: none" in found_of([8, 4, 4, 2, 1], 5).guarantee.words
    assert found_of([8, 4, 4, 2, 1], 5, least_error=1).guarantee.upper_bound == (3 / 5) ** 2
    with pytest.raises(UserError, match="least error of 9"):
        found_of([8, 4, 4, 2, 1], 5, least_error=9)


def test_the_assumptions_are_looked_at_where_they_can_be():
    """Ends against blocks where costs are taken apart, the order of the two costs, and what no search can see."""
    apart = [Cost(size=10 + i, inference=10 + i, end_size=1, end_inference=2) for i in range(3)]
    dear = [Cost(size=10 + i, inference=12 - i, end_size=6, end_inference=2) for i in range(3)]
    assert standing(found_of([3, 2, 1], 2, apart), "input and output") is Standing.HOLDS
    assert standing(found_of([3, 2, 1], 2, dear), "input and output") is Standing.FAILS
    assert standing(found_of([8, 4, 4, 2, 1], 2), "input and output") is Standing.FAITH
    assert standing(found_of([3, 2, 1], 2, apart), "one order") is Standing.HOLDS
    assert standing(found_of([3, 2, 1], 2, dear), "one order") is Standing.FAILS
    assert standing(found_of([3, 2, 1], 2, apart), "errors do not rise") is Standing.PARTLY
    for words, known in (("SGD", Standing.FAITH), ("smooth", Standing.FAITH), ("convex", Standing.FAILS)):
        assert standing(found_of([3, 2, 1], 2, apart), words) is known


@given(st.lists(st.integers(0, 5), max_size=12))
def test_inversions_are_counted(values):
    """Pairs of which the earlier is the larger; equal ones are none."""
    assert num_inversions(values) == sum(one > other for one, other in itertools.combinations(values, 2))


@given(st.lists(st.integers(1, 9), max_size=12))
def test_the_largest_rise_is_over_all_pairs(errors):
    """Not of neighbours alone."""
    rises = [later / earlier for earlier, later in itertools.combinations(errors, 2)]
    assert largest_rise(errors) == max([1, *rises])


@given(tables())
def test_words_come_for_every_answer(table):
    """However errors fall or diverge; the answer is never above its bound."""
    costs, errors, eps = table
    found = search(
        range(len(costs)), costs.__getitem__, lambda one, row: errors[row][one], hyper_parameters=[0, 1], eps=eps
    )
    guarantee = found.guarantee
    assert guarantee.words.count("\n") == 1 + len(guarantee.assumptions)
    assert guarantee.best_w == found.best.w
    assert guarantee.upper_bound is None or guarantee.best_w <= guarantee.upper_bound < math.inf
