"""Rank correlations."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from pipeline.search.rank_correlation import average_ranks, kendall, spearman

VALUES = st.integers(-3, 3).map(float) | st.floats(-1e6, 1e6) | st.just(math.inf)
PAIRS = st.lists(st.tuples(VALUES, VALUES), min_size=2, max_size=30)


@given(PAIRS)
def test_ranks_are_those_of_scipy(pairs):
    """Ties share the mean of their places."""
    values = np.array([first for first, _ in pairs])
    assert np.array_equal(average_ranks(values), stats.rankdata(values))


@given(PAIRS)
def test_correlations_are_those_of_scipy(pairs):
    """With ties and infinite errors; none where scipy has no number."""
    first, second = np.array(pairs).T
    for ours, theirs in (
        (spearman, lambda a, b: stats.spearmanr(stats.rankdata(a), stats.rankdata(b))),
        (kendall, stats.kendalltau),
    ):
        if min(len(set(first)), len(set(second))) < 2:
            assert ours(first, second) is None
        else:
            assert ours(first, second) == pytest.approx(theirs(first, second).statistic, abs=1e-12)


@given(st.lists(st.integers(-5, 5), min_size=2, max_size=20).filter(lambda values: len(set(values)) > 1))
def test_an_order_agrees_with_itself_and_not_with_its_reverse(values):
    """Exactly, ties included: 1 and -1."""
    values = np.array(values, dtype=float)
    assert spearman(values, values) == kendall(values, np.exp(values)) == 1
    assert spearman(values, -values) == kendall(values, -values) == -1
