"""Which candidates are measured, and what all would take."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config.errors import UserError
from pipeline.search.measured_points import check_measurable, duration, measuring_seconds, points_to_measure

SPACE = [
    {"layers": layers, "heads": heads, "bits": bits}
    for layers, heads, bits in itertools.product((1, 3, 6), (2, 4), (2, 8))
]
ROWS = st.lists(
    st.fixed_dictionaries({"layers": st.integers(1, 3), "bits": st.integers(1, 3)}), min_size=1, max_size=30
)


@given(ROWS, st.integers(1, 40))
def test_a_larger_number_adds_places_and_takes_none_away(candidates, num):
    """As many as may be, or all; the cheapest first of all, and no gap is more than what halving leaves."""
    fewer, places = points_to_measure(candidates, num), points_to_measure(candidates, num + 1)
    assert set(fewer) <= set(places)
    assert list(fewer) == sorted(set(fewer)) and len(fewer) == min(num, len(candidates))
    assert 0 in fewer and (len(fewer) == 1 or len(candidates) - 1 in fewer)


@given(ROWS)
def test_every_parameter_is_measured_at_both_ends(candidates):
    """With room for two more candidates than ends."""
    places = points_to_measure(candidates, 6)
    for name in ("layers", "bits"):
        values = [candidate[name] for candidate in candidates]
        assert {min(values), max(values)} <= {values[place] for place in places}


def test_the_places_by_hand():
    """First and last; then the largest value at its cheapest, the smallest at its dearest; then the middle of a gap."""
    assert points_to_measure(SPACE, 2) == (0, 11)
    assert points_to_measure(SPACE, 4) == (0, 3, 8, 11)  # six layers at their cheapest, one at its dearest
    assert points_to_measure(SPACE, 8) == (0, 1, 2, 3, 8, 9, 10, 11)
    assert points_to_measure(SPACE, 9) == (0, 1, 2, 3, 5, 8, 9, 10, 11)
    assert points_to_measure(SPACE, 99) == tuple(range(12))


def test_a_space_that_is_too_large_is_told_how_long_it_takes():
    """From the mean of those measured; what fits is let through."""
    left = measuring_seconds([10.0, 30.0], 400)
    assert left == 8000.0
    check_measurable(400, left, 8000.0, "set more")
    with pytest.raises(UserError, match=r"400 candidates to measure, which takes about 2 hours.*about 10 minutes"):
        check_measurable(400, left, 600.0, "set more")
    assert [duration(seconds) for seconds in (119, 120, 7200, 1e6)] == [
        *("about 119 seconds", "about 2 minutes", "about 2 hours", "about 12 days"),
    ]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (lambda: points_to_measure([], 3), "no candidate"),
        (lambda: points_to_measure(SPACE, 0), "0 candidates to measure"),
        (lambda: measuring_seconds([], 3), "without a measured candidate"),
    ],
    ids=["empty", "none wanted", "none measured"],
)
def test_what_cannot_be_chosen_or_estimated_is_refused(asked, message):
    """Plainly."""
    with pytest.raises(UserError, match=message):
        asked()
