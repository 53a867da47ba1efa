"""Distances of volume, lengths and labels."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up_pairs import labelled, translations

from pipeline.config.sections.data_checks import DataChecksConfig
from pipeline.retraining import shifts

CONFIG = DataChecksConfig()
COUNTS = st.dictionaries(st.sampled_from("abcde"), st.integers(1, 50), min_size=1).map(Counter)


@pytest.mark.parametrize(("num", "passes"), [(79, False), (80, True), (100, True), (300, True), (301, False)])
def test_volume_is_compared_with_that_accepted_before(num, passes):
    """Both bounds are allowed themselves."""
    result = shifts.check_volume(translations(num), translations(100), CONFIG)
    assert result.measured == pytest.approx(num / 100) and result.passed is passes


@pytest.mark.parametrize(
    ("texts", "others", "distance"),
    [
        (["a b", "c"], ["x", "y z"], 0.0),
        (["a"], ["b c"], 1.0),
        (["a", "a b"], ["a"], 0.5),
        ([], ["a"], 1.0),
        ([], [], 0.0),
    ],
)
def test_lengths_are_compared_whole(texts, others, distance):
    """By the greatest difference between both distributions; nothing and something have nothing in common."""
    assert shifts.length_distance(texts, others) == distance == shifts.length_distance(others, texts)


def test_shorter_texts_are_refused():
    """Texts cut in half, as a broken export leaves them."""
    texts = translations(200).sources
    assert shifts.check_lengths(translations(200, seed=1).sources, texts, "sources", CONFIG).passed
    assert not shifts.check_lengths([text[: len(text) // 2] for text in texts], texts, "sources", CONFIG).passed


@given(COUNTS, COUNTS, st.integers(1, 9))
def test_total_variation_is_a_distance_of_shares(counts, others, times):
    """From 0 to 1, both ways the same, 0 for the same shares."""
    distance = shifts.total_variation(counts, others)
    assert 0 <= distance <= 1 + 1e-12 and distance == shifts.total_variation(others, counts)
    more = Counter({label: num * times for label, num in counts.items()})
    assert shifts.total_variation(more, counts) == pytest.approx(0, abs=1e-12)
    assert (counts.keys().isdisjoint(others)) == (distance > 1 - 1e-9)


@pytest.mark.parametrize("num", [100, 1000])
def test_chance_alone_is_foreseen(num):
    """Labels drawn twice from one distribution are about so far apart, on average over draws."""
    draws = [[Counter(labelled(num, seed=2 * draw + one).targets) for one in (0, 1)] for draw in range(40)]
    measured = sum(shifts.total_variation(*both) for both in draws) / len(draws)
    foreseen = sum(shifts.variation_by_chance(*both) for both in draws) / len(draws)
    assert measured == pytest.approx(foreseen, rel=0.4)
    assert shifts.variation_by_chance(Counter(), draws[0][0]) == 0


@pytest.mark.parametrize(("share", "passes"), [(0.5, True), (0.55, True), (0.9, False)])
def test_labels_that_shift_are_refused(share, passes):
    """A little is ordinary."""
    new = ["yes"] * int(1000 * share) + ["no"] * (1000 - int(1000 * share))
    assert shifts.check_label_shift(new, ["yes", "no"] * 500, CONFIG).passed is passes


def test_a_label_that_was_never_there_is_refused_and_named():
    """Even one; fewer labels than before are not unknown."""
    result = shifts.check_unknown_labels(["yes", "maybe", "no", "no"], ["yes", "no"], CONFIG)
    assert result.measured == 0.25 and not result.passed and "'maybe'" in result.sentence
    assert shifts.check_unknown_labels(["yes"], ["yes", "no"], CONFIG).passed
