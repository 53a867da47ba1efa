"""Order, maximum point, ε-cover and W."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from search_tables import tables

from pipeline.config.errors import UserError
from pipeline.search.cover import Cost, eps_cover, maximum_point, ordered, saving, w_coefficient

ONE = Cost(size=1, inference=1)


def toy(widths):
    """72 parameters of (2, 4, 3, 4, 4) and 40 of (2, 3, 3, 3, 2), as the author counts his toy.

    He prints the numbers and not the network. This is the least reading that we found to give both: `blocks` times a
    dense layer from `width` to `inner` and one from `inner` to `outer`, with biases; heads add nothing. A single dense
    network through the five numbers gives neither.
    """
    blocks, _heads, width, inner, outer = widths
    return blocks * ((width + 1) * inner + (inner + 1) * outer)


def test_the_toy_of_the_author_has_its_order():
    """Costs are whatever function is handed in; the larger network comes last and is the maximum point."""
    networks = [(2, 4, 3, 4, 4), (2, 3, 3, 3, 2)]
    candidates = ordered(networks, lambda network: Cost(size=toy(network), inference=toy(network)))
    assert [candidate.cost.size for candidate in candidates] == [40, 72]
    assert candidates[-1].architecture == (2, 4, 3, 4, 4)
    assert maximum_point(candidates).size == 72
    assert w_coefficient(candidates[0].cost, maximum_point(candidates), 0.5) == (32 / 72) ** 2 / 0.5


@given(tables())
def test_the_order_is_by_size_then_inference_then_as_listed(table):
    """Nothing is lost, ranks count up, and equal costs stay as they were listed."""
    costs, _, _ = table
    candidates = ordered(range(len(costs)), costs.__getitem__)
    keys = [(one.cost.size, one.cost.inference, one.architecture) for one in candidates]
    assert keys == sorted((cost.size, cost.inference, index) for index, cost in enumerate(costs))
    assert [one.rank for one in candidates] == list(range(len(costs)))


@given(tables())
def test_a_cover_leaves_no_candidate_far_from_it(table):
    """⌈n / ε⌉ candidates with the cheapest among them; each candidate has one less than ε places before it."""
    costs, _, eps = table
    candidates = ordered(range(len(costs)), costs.__getitem__)
    cover = eps_cover(candidates, eps)
    assert len(cover) == math.ceil(len(costs) / eps) and cover[0].rank == 0
    assert all(min(abs(one.rank - near.rank) for near in cover if near.rank <= one.rank) < eps for one in candidates)
    assert eps_cover(candidates, 1) == candidates


@pytest.mark.parametrize("eps", [0, -1, 4])
def test_an_interval_below_1_or_above_the_space_is_refused(eps):
    """One that is either end is not."""
    candidates = ordered("abc", lambda _: ONE)
    with pytest.raises(UserError, match=f"eps = {eps} for 3 candidates"):
        eps_cover(candidates, eps)
    assert len(eps_cover(candidates, 3)) == 1 and len(eps_cover(candidates, 1)) == 3


def test_an_empty_space_is_refused():
    """There is nothing to choose from."""
    with pytest.raises(UserError, match="empty space"):
        ordered([], lambda _: ONE)


@pytest.mark.parametrize("bad", [0, -1, math.inf, math.nan])
def test_costs_are_positive_numbers(bad):
    """A clock that failed must not become the cheapest candidate."""
    for cost in (Cost(size=bad, inference=1), Cost(size=1, inference=bad)):
        with pytest.raises(UserError, match="costs above 0"):
            ordered("a", lambda _, cost=cost: cost)


@given(tables(), st.floats(0.01, 100), st.floats(1, 10))
def test_w_rewards_less_of_everything(table, error, factor):
    """Never negative, 0 at the maximum point, no less for a smaller size, inference or error."""
    costs, _, _ = table
    maximum = maximum_point(ordered(range(len(costs)), costs.__getitem__))
    assert saving(maximum, maximum) == 0
    for cost in costs:
        w = w_coefficient(cost, maximum, error)
        assert w >= 0 and w_coefficient(cost, maximum, math.inf) == 0
        assert w_coefficient(cost, maximum, error * factor) <= w
        for less in (
            Cost(size=cost.size / factor, inference=cost.inference),
            Cost(size=cost.size, inference=cost.inference / factor),
        ):
            assert w_coefficient(less, maximum, error) >= w


@pytest.mark.parametrize("error", [0.0, -1.0, math.nan])
def test_an_error_is_above_0(error):
    """W divides by it."""
    with pytest.raises(UserError, match="errors above 0"):
        w_coefficient(ONE, ONE, error)


def test_nothing_costs_more_than_the_maximum_point():
    """Two negative savings would make a large W."""
    with pytest.raises(UserError, match="maximum point"):
        w_coefficient(Cost(size=3, inference=3), Cost(size=2, inference=2), 1.0)
