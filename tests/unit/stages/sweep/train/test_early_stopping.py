"""Which students are given up."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.stages.sweep.train.early_stopping import to_stop

# Infinite, too, but no two whose sum overflows: the median of an even number is their mean.
COSTS = st.lists(st.floats(-1e300, 1e300) | st.just(float("inf")), min_size=1, max_size=9)


@pytest.mark.parametrize("rule", ["median", "halving"])
@given(costs=COSTS, keep=st.floats(0, 1))
@example(costs=[-9e307, -1e308], keep=0.0)
def test_the_best_goes_on_and_nobody_goes_before_a_worse_one(rule, costs, keep):
    """Equal students share their fate."""
    stopped = to_stop(costs, rule, keep)
    assert not stopped[costs.index(min(costs))]
    assert max((cost for cost, out in zip(costs, stopped, strict=True) if not out)) <= min(
        (cost for cost, out in zip(costs, stopped, strict=True) if out), default=float("inf")
    )


@pytest.mark.parametrize(("costs", "left"), [([3.0], 1), ([1.0, 2.0], 1), ([3.0, 1.0, 2.0], 2), ([1.0, 1.0, 1.0], 3)])
def test_median_stops_what_is_worse_than_the_median(costs, left):
    """Alone, nobody is stopped; of two the worse one is."""
    assert to_stop(costs, "median", 0.5).count(False) == left


@pytest.mark.parametrize(("keep", "left"), [(0.0, 1), (0.25, 1), (0.5, 2), (0.51, 3), (1.0, 4)])
def test_halving_keeps_its_part_rounded_up(keep, left):
    """At least one student, however small the part."""
    assert to_stop([3.0, 1.0, 4.0, 2.0], "halving", keep).count(False) == left
