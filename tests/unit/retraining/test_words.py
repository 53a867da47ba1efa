"""Words of texts, and which of them others know."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.evaluation.scripts import WORDS
from pipeline.retraining.words import known_when_left_out, known_words, lengths_of, words_of


@given(st.text(alphabet=st.characters(max_codepoint=127)))
def test_the_short_way_through_ascii_finds_the_same_words(text):
    """Whatever stands between them."""
    assert words_of(text) == WORDS.findall(text.casefold())


@pytest.mark.parametrize(
    ("texts", "others", "share"),
    [(["a b"], ["A"], 0.5), (["a a b"], ["a"], 2 / 3), ([], ["a"], 1.0), (["..."], [], 1.0), (["a"], [], 0.0)],
)
def test_running_words_are_counted(texts, others, share):
    """One that occurs twice counts twice; where there are none nothing is unknown."""
    assert known_words(texts, others) == pytest.approx(share)


def test_texts_know_of_themselves_what_occurs_in_two_of_them():
    """A word that one text repeats is not known to the others."""
    assert known_when_left_out(["a b b", "a c"]) == pytest.approx(2 / 5)


def test_lengths_are_words_and_characters_where_there_are_no_spaces():
    """Empty texts have none."""
    assert lengths_of(["one two", "", "我在这里"]).tolist() == [2, 0, 4]
