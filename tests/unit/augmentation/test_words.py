"""Texts as words and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.augmentation.examples import Texts
from pipeline.augmentation.words import parts_of, text_of, texts_of, words_of

TEXTS = st.text() | st.text(alphabet="ab .,我是กำ😀\u0301\u200d\n", max_size=12)


@given(TEXTS)
def test_nothing_is_lost(text):
    """All characters stand in words or in the space between them, in their order."""
    words = words_of(text)
    joined = "".join(word.space + word.text for word in words)
    assert text.startswith(joined) and not text[len(joined) :].strip()


@given(TEXTS, st.randoms(use_true_random=False))
def test_words_stay_words_in_any_order(text, rng):
    """Left out, put elsewhere: what is a word stays one, whatever script it stands beside."""
    words = words_of(text)
    rng.shuffle(words)
    words = words[: rng.randint(0, len(words))]
    assert [word.text for word in words_of(text_of(words))] == [word.text for word in words]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The cat, it sat.", ["The", "cat,", "it", "sat."]),
        ("我用Python写。", ["我", "用", "Python", "写。"]),
        ("สวัสดี", ["ส", "วั", "ส", "ดี"]),
        ("مرحبا بالعالم", ["مرحبا", "بالعالم"]),
        ("👩‍👩‍👧 hi", ["👩‍👩‍👧", "hi"]),
        (" \n", []),
    ],
)
def test_words_by_hand(text, expected):
    """Between spaces, and in scripts without them characters with what belongs to them."""
    assert [word.text for word in words_of(text)] == expected


def test_words_that_met_only_by_reordering_are_kept_apart():
    """A space where two would be one; none in scripts without spaces."""
    words = words_of("我a b")
    assert text_of([words[2], words[1], words[0]]) == "b a我" and text_of(words[:1] * 2) == "我我"


def test_pairs_have_two_parts():
    """A second text without words is still one."""
    assert texts_of(parts_of(Texts("a b", ""))) == Texts("a b", "") and texts_of(parts_of(Texts("a"))) == Texts("a")
