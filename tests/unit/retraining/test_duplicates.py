"""Repeated examples and contradicting targets are counted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config.sections.data_checks import DataChecksConfig
from pipeline.retraining.duplicates import check_contradictions, check_duplicates, check_targets_per_source
from pipeline.retraining.pairs import Pairs

CONFIG = DataChecksConfig()


@given(st.lists(st.tuples(st.text(max_size=3), st.text(max_size=3)), min_size=1, unique=True), st.integers(1, 5))
def test_a_file_so_many_times_is_all_duplicates_but_one(rows, times):
    """Distinct examples are none."""
    pairs = Pairs(*zip(*rows * times, strict=True))
    assert check_duplicates(pairs, CONFIG).measured == pytest.approx(1 - 1 / times)


@pytest.mark.parametrize(
    ("rows", "share"),
    [
        ([("a", "yes"), ("A ", "no"), ("b", "no"), ("b", "no")], 0.5),
        ([("a", "yes"), ("b", "no")], 0.0),
        ([("a", "yes"), ("a", "yes")], 0.0),
    ],
)
def test_labels_contradict_each_other_where_a_source_has_two(rows, share):
    """However the source is written; the same label twice is no contradiction."""
    result = check_contradictions(Pairs(*zip(*rows, strict=True)), CONFIG)
    assert result.measured == share and result.passed == (share == 0)


@pytest.mark.parametrize(("num", "passes"), [(50, True), (51, False)])
def test_a_source_has_several_targets_but_not_very_many(num, passes):
    """Some translations are ordinary, a template is not."""
    pairs = Pairs(["a"] * (num + 1), [*map(str, range(num)), "0"])
    result = check_targets_per_source(pairs, CONFIG)
    assert result.measured == num and result.passed is passes
