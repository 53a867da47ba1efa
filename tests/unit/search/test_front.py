"""The Pareto front of several costs is what its definition says."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.search.front import front

COSTS = st.sampled_from([0.0, 1.0, 2.0, 3.0, math.inf])  # few values: ties are where such code errs
SPACES = st.integers(1, 4).flatmap(lambda num: st.lists(st.tuples(*[COSTS] * num), max_size=14))


def dominates(one, other):
    return all(a <= b for a, b in zip(one, other, strict=True)) and one != other


@given(SPACES)
def test_the_front_is_what_nothing_dominates(points):
    """Compared with every pair of points: of equal ones all, indices rising."""
    undominated = [i for i, p in enumerate(points) if not any(dominates(other, p) for other in points)]
    assert front(points) == undominated


def test_a_third_cost_keeps_what_two_would_drop():
    """A slow and good candidate beats none that is faster; without times it does."""
    points = [(1.0, 5.0, 0.3), (2.0, 4.0, 0.3), (3.0, 6.0, 0.3)]
    assert front(points) == [0, 1]
    assert front([(size, error) for size, _, error in points]) == [0]
    assert front([]) == []


@pytest.mark.parametrize("points", [[(1.0, 2.0), (1.0,)], [(1.0, 9.0), (2.0, 3.0, 4.0)], [(math.nan,), (1.0,)]])
def test_what_cannot_be_compared_is_refused(points):
    """Points with different costs, and a cost that is no number."""
    with pytest.raises(ValueError, match="cost"):
        front(points)
