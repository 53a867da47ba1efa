"""Text infilling: start and end stay, about 30 % of the tokens are masked, and the noise is repeatable."""

import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.data.noise import infill

MASK = 4


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.lists(st.integers(5, 200), max_size=60), st.integers(0, 1000))
def test_infilling_keeps_the_ends_and_the_order_of_what_is_left(inner, seed):
    """At most 30 % of the tokens go, at least one where there is something to round up to, each span to one mask."""
    noised = infill([0, *inner, 2], MASK, random.Random(seed))
    kept = [token for token in noised[1:-1] if token != MASK]
    assert (noised[0], noised[-1]) == (0, 2)
    rest = iter(inner)
    assert all(token in rest for token in kept)
    assert len(kept) >= len(inner) - round(0.3 * len(inner))
    assert (len(kept) < len(inner)) == (round(0.3 * len(inner)) > 0)
    assert all(pair != (MASK, MASK) for pair in itertools.pairwise(noised))
    assert noised == infill([0, *inner, 2], MASK, random.Random(seed))


@pytest.mark.parametrize("num_tokens", [20, 60, 200])
def test_about_thirty_percent_of_the_tokens_are_masked_in_spans_of_about_three(num_tokens):
    """On average over many texts; overlaps and the end of the text cost a little."""
    kept = masks = 0
    for seed in range(300):
        noised = infill([0, *range(5, 5 + num_tokens), 2], MASK, random.Random(seed))
        masks += noised.count(MASK)
        kept += len(noised) - 2 - noised.count(MASK)
    masked = 300 * num_tokens - kept
    assert 0.24 <= masked / (300 * num_tokens) <= 0.30
    assert 2.0 <= masked / masks <= 4.0


@pytest.mark.parametrize("ids", [[0, 2], [0, 9, 2]])
def test_a_text_too_short_to_mask_stays_as_it_is(ids):
    """An empty text among them."""
    assert infill(ids, MASK, random.Random(0)) == ids
