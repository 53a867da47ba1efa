"""How sure a night must be, and whether the lower bound is as sure as it says."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import stdtrit
from scipy.stats import binom

from pipeline.evaluation.bootstrap import paired_differences
from pipeline.retraining.spending import level_of_a_use, lower_bound, paired

NIGHT = 0.05 / 365
POINTS = st.floats(-50, 50)


def answers(num, losses, gains=0):
    """Differences of right and wrong answers."""
    values = np.zeros(num)
    values[:losses] = -100
    values[losses : losses + gains] = 100
    return values


def chance_of_passing(num, margin, level, share_of_gains=0.0):
    """Exact chance to pass of a candidate that is worse by the margin: a sum over answers gained and lost."""
    losing, total = margin / 100 + share_of_gains, 0.0
    for gains in range(int(binom.isf(1e-9, num, share_of_gains)) + 1 if share_of_gains else 1):
        low, high = -1, int(binom.isf(1e-9, num, losing))
        while low < high:  # the most losses with which it passes
            middle = (low + high + 1) // 2
            if lower_bound(answers(num, middle, gains), level) >= -margin:
                low = middle
            else:
                high = middle - 1
        chance = binom.cdf(low, num - gains, losing / (1 - share_of_gains)) if low >= 0 else 0.0
        total += binom.pmf(gains, num, share_of_gains) * chance
    return total


def test_the_rate_is_shared_equally_and_never_overspent():
    """All uses together have the rate; what is no rate or no use is refused."""
    assert math.isclose(365 * level_of_a_use(0.05, 365), 0.05) and level_of_a_use(0.05, 1) == 0.05
    for rate, uses in ((0.0, 1), (1.0, 1), (math.nan, 1), (0.05, 0)):
        with pytest.raises(ValueError, match="rate"):
            level_of_a_use(rate, uses)


@pytest.mark.parametrize("level", [NIGHT, 0.05])
@pytest.mark.parametrize("num", [100, 300, 1000, 3000])
@pytest.mark.parametrize("margin", [0.5, 1.0, 2.0])
def test_losses_that_are_rarely_seen_do_not_pass(num, margin, level):
    """Right and wrong answers, losses alone: the exact chance to pass at the margin is at most the level."""
    assert chance_of_passing(num, margin, level) <= level


@pytest.mark.parametrize("share_of_gains", [0.01, 0.05])
@pytest.mark.parametrize("num", [300, 1000])
def test_losses_and_gains_pass_about_as_rarely_as_they_should(num, share_of_gains):
    """The worst that is known is 1.4 times the level."""
    assert chance_of_passing(num, 2.0, NIGHT, share_of_gains) <= 1.4 * NIGHT


def test_student_s_bound_alone_would_pass_what_it_never_saw():
    """A loss in every 200 answers: more than a thousand times as often as it says, where none is seen in 200."""
    quantile, losses = -stdtrit(199, NIGHT), np.arange(20)
    mean, deviation = -losses / 2, [answers(200, num).std(ddof=1) for num in losses]
    passing = mean - quantile * np.array(deviation) / math.sqrt(200) >= -0.5
    assert binom.pmf(losses[passing], 200, 0.005).sum() > 1000 * NIGHT
    assert chance_of_passing(200, 0.5, NIGHT) == 0


@pytest.mark.parametrize("level", [0.05, 0.01])
def test_the_bound_of_normal_differences_is_below_the_truth_about_as_often_as_it_says(level):
    """Not above the level, and not so careful that nothing passes."""
    drawn = np.random.default_rng(3).normal(1.0, 10.0, (4000, 3000))
    share = (lower_bound(drawn, level) > 1.0).mean()
    assert level / 3 <= share <= level + 3 * math.sqrt(level / 4000)


def test_the_standard_error_is_that_of_the_paired_bootstrap():
    """Of a mean they are the same but for the draws: a tenth apart with 1,000 of them."""
    first, second = np.random.default_rng(1).uniform(20, 80, (2, 2000))
    seen = paired_differences(lambda i: np.array([first[i].mean()]), lambda i: np.array([second[i].mean()]), 2000)[0]
    bootstrap = (seen.high - seen.low) / (2 * 1.96)
    assert (second - first).std(ddof=1) / math.sqrt(2000) == pytest.approx(bootstrap, rel=0.1)
    assert lower_bound(second - first, 0.025) == pytest.approx(seen.low, abs=0.15)


@given(st.lists(POINTS, min_size=30, max_size=60), st.floats(0, 50), st.floats(1e-6, 0.4), st.floats(1e-6, 0.4))
def test_worse_scores_and_smaller_levels_never_raise_the_bound(points, loss, level, other):
    """So no such change makes a failing candidate pass."""
    values = np.array(points)
    assert lower_bound(values - loss, level) <= lower_bound(values, level) + 1e-9
    low, high = sorted((level, other))
    assert lower_bound(values, low) <= lower_bound(values, high) + 1e-9
    assert lower_bound(values, high) < values.mean()


def test_rows_are_independent():
    """Many candidates at once are each of them alone."""
    drawn = np.random.default_rng(2).normal(0, 5, (3, 50))
    assert np.array_equal(lower_bound(drawn, 0.01), [float(lower_bound(row, 0.01)) for row in drawn])


@pytest.mark.parametrize(
    ("values", "bound"), [([1.0], -math.inf), ([-100.0] * 9, -100.0), ([0.0, math.nan, 1.0], math.nan)]
)
def test_odd_differences_have_no_flattering_bound(values, bound):
    """One example, all lost, no number."""
    assert np.array_equal(lower_bound(np.array(values), 0.01), bound, equal_nan=True)


@pytest.mark.parametrize("level", [0.0, 1.0, -0.1, math.nan])
def test_levels_are_chances(level):
    """Between 0 and 1."""
    with pytest.raises(ValueError, match="level"):
        lower_bound(np.zeros(5), level)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, -0.1, 100.1])
@pytest.mark.parametrize("side", [0, 1])
def test_scores_that_are_no_percentages_have_no_differences(bad, side):
    """None at all: one bad score says that something is wrong with the others; nor have sides of different length."""
    sides = [(1.0, 2.0), (0.0, 100.0)]
    assert paired(*sides).tolist() == [1.0, -98.0]
    sides[side] = (1.0, bad)
    assert np.isnan(paired(*sides)).all()
    assert np.isnan(paired((), ())).all() and np.isnan(paired((1.0,), (1.0, 2.0))).all()
