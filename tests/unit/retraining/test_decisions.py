"""What a scheduler is told of a night."""

import pytest

from pipeline.retraining.decisions import ENDINGS, RETRIABLE, Decision, ending_of


def test_every_decision_has_an_ending_and_codes_tell_them_apart():
    """0 for a night as it should be; the others are distinct, and none is a code that every job has."""
    assert set(ENDINGS) == set(Decision)
    well = {Decision.NO_CHANGE, Decision.PROMOTED}
    codes = [ending.exit_code for decision, ending in ENDINGS.items() if decision not in well] + [RETRIABLE.exit_code]
    assert all(ENDINGS[decision].exit_code == 0 for decision in well)
    assert len(set(codes)) == len(codes) and not set(codes) & {0, 1, 2, 3} and all(code < 126 for code in codes)


def test_a_failure_that_may_pass_has_a_code_of_its_own():
    """Only a failure can be tried again."""
    assert ending_of(Decision.FAILED, is_retriable=True) is RETRIABLE
    assert ending_of(Decision.FAILED).exit_code != RETRIABLE.exit_code
    for decision in set(Decision) - {Decision.FAILED}:
        with pytest.raises(ValueError, match="no failure"):
            ending_of(decision, is_retriable=True)


def test_every_ending_is_explained_in_a_sentence_each():
    """And nobody is woken by a night as it should be."""
    for ending in [*ENDINGS.values(), RETRIABLE]:
        assert all(text.endswith(".") and text.count(". ") == 0 for text in (ending.meaning, ending.advice))
        assert not (ending.alerts and ending.exit_code == 0)
        assert ending.alerts == ending.advice.startswith("Alert")
