"""Mixed bits: the solver's answer is that of trying everything."""

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.config.errors import UserError
from pipeline.search.mixed_bits import BitChoice, BitOption, best_assignment

# Sixteenths: their sums are exact. Losses may fall; some are none.
LOSSES = st.integers(-40, 400).map(lambda n: n / 16)
SIZES = st.integers(0, 60)
SMALL_LOSSES = st.integers(0, 50).map(lambda n: n * 2.0**-40)


def choices_of(sizes, losses):
    """Choices with these bytes and losses, one group a module."""
    return [
        BitChoice(
            modules=(f"m{number}",),
            options=tuple(
                BitOption(bits=bits, num_bytes=size, loss=loss)
                for bits, (size, loss) in enumerate(zip(some, rises, strict=True), 1)
            ),
        )
        for number, (some, rises) in enumerate(zip(sizes, losses, strict=True))
    ]


def enumerated(choices, budget):
    """The least loss of all assignments that fit; none if none does."""
    fitting = (
        math.fsum(option.loss for option in chosen)
        for chosen in itertools.product(*(choice.options for choice in choices))
        if sum(option.num_bytes for option in chosen) <= budget
    )
    return min(fitting, default=None)


@st.composite
def instances(draw, losses=LOSSES, factor=1):
    """(choices, budget) with up to five modules and four options each."""
    lengths = draw(st.lists(st.integers(1, 4), min_size=1, max_size=5))
    drawn = [draw(st.lists(SIZES, min_size=n, max_size=n)) for n in lengths]
    rises = [draw(st.lists(losses, min_size=n, max_size=n)) for n in lengths]
    choices = choices_of([[size * factor for size in some] for some in drawn], rises)
    return choices, draw(st.integers(0, 60 * 5)) * factor + draw(st.integers(0, factor - 1))


def holds(instance):
    """The answer is enumeration's: its loss, within its bytes, made of the options that it names."""
    choices, budget = instance
    least = enumerated(choices, budget)
    if least is None:
        with pytest.raises(UserError, match="the fewest bits take"):
            best_assignment(choices, budget)
    else:
        found = best_assignment(choices, budget)
        chosen = [next(o for o in one.options if o.bits == found.bits[one.name]) for one in choices]
        assert found.loss == least == math.fsum(option.loss for option in chosen)
        assert found.num_bytes == sum(option.num_bytes for option in chosen) <= budget
        assert found.gap == 0


@settings(max_examples=150)
@given(instances())
def test_the_answer_is_the_optimum_of_all_assignments(instance):
    """Losses that fall among them, options that take more bytes for more loss, sizes of nothing."""
    holds(instance)


@settings(max_examples=60)
@given(instances(factor=10_000_019))
def test_a_budget_of_many_bytes_is_kept_to_the_byte(instance):
    """Hundreds of megabytes, a few bytes too few among them."""
    holds(instance)


@settings(max_examples=60)
@given(instances(losses=SMALL_LOSSES))
def test_tiny_losses_are_told_apart(instance):
    """Far below the solver's own tolerance of 1e-6."""
    holds(instance)


def test_a_hundred_modules_are_solved_and_more_bytes_never_lose():
    """As many as BART-base has, six numbers of bits each; the gap is 0."""
    bits = (1, 1.58, 2, 4, 8, 32)
    choices = [
        BitChoice(
            modules=(f"m{number}", f"n{number}"),
            options=tuple(
                BitOption(bits=b, num_bytes=int(b * (1000 + 37 * number)), loss=(1 + number % 7) / b**2) for b in bits
            ),
        )
        for number in range(100)
    ]
    found = [best_assignment(choices, budget) for budget in (300_000, 600_000, 1_200_000)]
    assert [one.gap for one in found] == [0, 0, 0]
    assert found[0].loss > found[1].loss > found[2].loss
    assert all(one.bits[f"m{number}"] == one.bits[f"n{number}"] for one in found for number in range(100))
    assert len(set(found[1].bits.values())) > 2


def test_an_option_whose_loss_is_not_finite_is_left_out():
    """A model that breaks at one bit is none; the others are."""
    choices = choices_of([[1, 2, 3]], [[math.nan, 5.0, math.inf]])
    assert best_assignment(choices, 3).bits == {"m0": 2}


def test_a_module_without_an_option_is_an_error():
    """It is named, with what was tried."""
    for losses in ([math.nan, math.inf], []):
        with pytest.raises(UserError, match="m1 has no number of bits"):
            best_assignment(choices_of([[1], [1] * len(losses)], [[1.0], losses]), 100)


def test_a_budget_below_the_cheapest_assignment_names_the_least():
    """Bytes of options that are none do not count."""
    choices = choices_of([[1, 20], [300, 4000]], [[math.nan, 1.0], [1.0, 0.0]])
    with pytest.raises(UserError, match="320 bytes or more"):
        best_assignment(choices, 319)
    assert best_assignment(choices, 320).num_bytes == 320


def test_a_module_in_two_groups_is_an_error():
    """Its bits would be ambiguous."""
    one = BitChoice(modules=("a", "b"), options=(BitOption(bits=2, num_bytes=1, loss=0.0),))
    other = BitChoice(modules=("b",), options=one.options)
    with pytest.raises(UserError, match="b in two groups"):
        best_assignment([one, other], 10)


def test_nothing_to_assign_takes_nothing():
    """An empty model."""
    found = best_assignment([], 0)
    assert (found.bits, found.num_bytes, found.loss, found.gap) == ({}, 0, 0.0, 0.0)


def test_the_budget_is_exact_where_floating_point_is_not():
    """Sums of bytes that the solver cannot tell from the budget: what is above it is found, and left out."""
    large = 10**17
    choices = choices_of([[0, large + 1], [0, large + 3]], [[2.0, 0.0], [1.0, 0.0]])
    assert best_assignment(choices, 2 * large + 4).bits == {"m0": 2, "m1": 2}
    assert best_assignment(choices, 2 * large + 3).bits == {"m0": 2, "m1": 1}


def test_no_answer_in_time_is_said():
    """With what to change."""
    choices = choices_of([[1, 2, 3]] * 40, [[3.0, 2.0 + number / 97, 1.0] for number in range(40)])
    with pytest.raises(UserError, match="more time"):
        best_assignment(choices, 77, seconds=0.0)
