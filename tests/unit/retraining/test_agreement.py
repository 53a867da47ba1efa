"""Agreement of sources and targets: 0 for shuffled pairs, whatever their order."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up_pairs import shuffled, translations

from pipeline.retraining.agreement import agreements, mean_of
from pipeline.retraining.pairs import Pairs

ROWS = st.lists(st.tuples(st.text("ab 1", max_size=12), st.text("ab 1", max_size=12)), min_size=1, max_size=8)


def means(pairs):
    places = np.arange(len(pairs))
    return [mean_of(one.between(places, places)).mean for one in agreements(pairs)]


@given(ROWS)
def test_over_all_pairings_nothing_agrees(rows):
    """The mean over every source with every target is 0: that is what shuffled pairs have."""
    pairs = Pairs(*zip(*rows, strict=True))
    here, there = (places.ravel() for places in np.meshgrid(np.arange(len(pairs)), np.arange(len(pairs))))
    for agreement in agreements(pairs):
        assert agreement.between(here, there).mean() == pytest.approx(0, abs=1e-9)


def test_order_makes_no_difference_and_true_pairs_agree():
    """Lengths nearly wholly, words by the names."""
    pairs = translations(200)
    lengths, words = means(pairs)
    assert lengths > 0.99 and words > 0.05
    assert means(shuffled(pairs)) == pytest.approx([lengths, words], rel=1e-9)


@pytest.mark.parametrize("num", [0, 1, 29])
def test_of_few_pairs_nothing_is_known(num):
    """Its error is infinite."""
    assert mean_of(np.ones(num)).error == math.inf
