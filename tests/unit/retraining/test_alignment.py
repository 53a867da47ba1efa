"""Targets that have slipped are found by what lengths and words say."""

import pytest
from made_up_pairs import joined, labelled, moved, shuffled, translations

from pipeline.config.sections.data_checks import DataChecksConfig
from pipeline.retraining.alignment import check_alignment
from pipeline.retraining.pairs import Pairs

CONFIG = DataChecksConfig()
BEFORE, NOW = translations(600), translations(600, seed=1)
BY_LENGTH = NOW.at(sorted(range(600), key=lambda place: len(NOW.sources[place].split())))
NEGATIVE = [Pairs(one.sources, [("w " * (25 - len(s.split()))).strip() for s in one.sources]) for one in (BEFORE, NOW)]


def failing(new, reference, config=CONFIG):
    found = check_alignment(new, reference, config)
    return [result.name.removeprefix("alignment: ") for result in found if not result.passed]


@pytest.mark.parametrize(
    ("new", "found"),
    [
        (NOW, []),
        (BY_LENGTH, []),
        (moved(NOW), ["moved lines", "lengths", "shared words"]),
        (moved(NOW, -1), ["moved lines", "lengths", "shared words"]),
        (moved(NOW, 200), ["lengths", "shared words"]),
        (moved(BY_LENGTH), ["moved lines", "shared words"]),
        (joined(NOW.at(range(400)), moved(NOW.at(range(400, 600)))), ["moved lines"]),
        (Pairs(NOW.sources, shuffled(NOW).targets), ["lengths", "shared words"]),
    ],
)
def test_slipped_targets_are_refused(new, found):
    """All of them, those behind a missing line, those of a file sorted by length; wherever they slipped to."""
    assert failing(new, BEFORE) == found


@pytest.mark.parametrize("lines", [1, 2, -3])
def test_it_is_told_by_how_many_lines_and_without_data_to_compare_with(lines):
    """On the first night, too."""
    (result,) = check_alignment(moved(NOW, lines), None, CONFIG)
    assert result.measured == lines and not result.passed and ("below" in result.sentence) == (lines > 0)
    assert failing(NOW, None) == [] and failing(moved(NOW), None, DataChecksConfig(max_moved=0)) == []


@pytest.mark.parametrize("seed", range(4))
def test_short_answers_to_long_questions_have_not_slipped(seed):
    """Agreement below 0 is agreement; without it they are refused."""
    assert failing(shuffled(NEGATIVE[1], seed), NEGATIVE[0]) == []
    assert failing(moved(NEGATIVE[1]), NEGATIVE[0]) == ["moved lines", "lengths"]


def test_where_lengths_and_words_tell_nothing_it_is_said_so():
    """Nothing is measured then; labels are an example of it."""
    found = check_alignment(labelled(600, seed=1), labelled(600), CONFIG)
    assert [(result.passed, result.measured) for result in found] == [(True, 0), (True, None), (True, None)]
    assert "cannot tell" in found[1].sentence


@pytest.mark.parametrize("num", [0, 1, 2, 9])
def test_very_few_pairs_are_no_error(num):
    """They tell nothing."""
    assert failing(NOW.at(range(num)), BEFORE.at(range(num))) == []
