"""Examples of the frozen test set in new data are counted exactly."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config.sections.data_checks import DataChecksConfig
from pipeline.retraining.overlap import check_overlap

CONFIG = DataChecksConfig()
NEW = st.lists(st.text("abc ", min_size=1), max_size=8)
FROZEN = st.lists(st.integers(0, 99).map("Test {}".format), max_size=8)


@given(NEW, FROZEN, st.randoms(use_true_random=False))
def test_the_frozen_set_added_to_the_data_is_found_and_nothing_else(new, frozen, rng):
    """Wherever it stands among them, however often, in another case and with other spaces."""
    rows = [(text, False) for text in new] + [(f" {text.upper()}\t", True) for text in frozen]
    rng.shuffle(rows)
    found = check_overlap([text for text, _ in rows], frozen, CONFIG)
    assert found.indices == tuple(place for place, (_, is_frozen) in enumerate(rows) if is_frozen)
    assert found.num_frozen == len(set(frozen)) and found.result.measured == bool(frozen)
    assert check_overlap(new, frozen, CONFIG).indices == ()


@pytest.mark.parametrize(("num", "passes"), [(0, True), (10, True), (11, False)])
def test_up_to_the_bound_they_are_removed_above_it_data_are_refused(num, passes):
    """In both cases all of them are named."""
    frozen = [f"test {number}" for number in range(100)]
    new = [*frozen[:num], *map(str, range(1000))]
    random.Random(0).shuffle(new)
    found = check_overlap(new, frozen, CONFIG)
    assert found.result.passed is passes and len(found.indices) == num


def test_what_is_no_text_is_in_no_test_set():
    """Places are those of the data as they were handed in."""
    assert check_overlap([None, "a", 3], ["A", None], CONFIG).indices == (1,)
