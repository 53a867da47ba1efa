"""How outputs look, in any script and where there is hardly any output."""

import itertools
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from texts_of_the_world import SINGLE, WORDS

from pipeline.retraining.behaviour import MIN_COPIES, behaviour_of, has_loop, is_empty, numbers_of, share_of_flips

LOOPS = [
    "the cat sat the cat sat the cat sat the cat sat",
    "We found, we found. We found we found we found",  # whatever stands between, and whatever the case
    "no " * 8,
    "这个模型很好这个模型很好这个模型很好这个模型很好",
    "สวัสดีครับ" * 4,
    "こんにちは" * 4,
    "안녕 세계 " * 4,
    "مرحبا بالعالم " * 4,
    "😀" * 20,
    "👍🏽👩‍👩‍👧 " * 8,
    "abcabcabcabcabcabcabc",  # one word
    "-" * 20,
    "It began well and then it then it then it then it",
    "lots of words " * 3000,
]
NO_LOOPS = [
    "",
    " \n\t",
    "one",
    "😀😀😀",
    "ha ha ha ha ha, he said",
    "哈哈哈哈",
    "very, very, very good",
    "The same the same the same",
    "我用Python写程序。你呢?",
    "the cat sat on the mat, and the dog sat on the cat, and the cat sat on the dog, and the mat was the mat",
    "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20",
]


@pytest.mark.parametrize("text", LOOPS)
def test_loops_are_seen_in_every_script(text):
    """With and without spaces, in words, emoji and signs."""
    assert has_loop(text) and has_loop(f"Well begun: {text}")


@pytest.mark.parametrize("text", NO_LOOPS)
def test_what_people_write_is_no_loop(text):
    """Laughter, lists, a word that comes back."""
    assert not has_loop(text)


@given(st.lists(st.sampled_from("abcd我是"), min_size=1, max_size=40))
def test_loops_are_those_that_a_plain_search_finds(words):
    """Of words in a row, with a block of any size."""
    starts = itertools.product(range(len(words)), range(1, len(words) // MIN_COPIES + 1))
    found = any(
        words[start : start + MIN_COPIES * size] == words[start : start + size] * MIN_COPIES
        and (size > 1 or words[start : start + 8] == words[start : start + 1] * 8)
        for start, size in starts
    )
    # Signs without spaces loop in characters only where there are 20 of them, which then are words that loop, too.
    assert has_loop(" ".join(words)) == found


@pytest.mark.parametrize(
    ("text", "empty"),
    [("", True), (" \t\n", True), ("\u3000\u200b\ufeff\0", True), (".", False), ("😀", False), ("我", False)],
)
def test_empty_is_what_nobody_sees(text, empty):
    """Spaces of all widths, joiners and controls; a full stop is seen."""
    assert is_empty(text) == empty


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("", []),
        ("In 2024, 3 of 17.5 %", ["2024", "3", "175"]),
        ("1,000.50 and 1.000,50", ["100050", "100050"]),
        ("١٢٣ और ४५, 第3章", ["123", "45", "3"]),
        ("v2 x², half ½", ["2"]),
        ("ended 5.", ["5"]),
    ],
)
def test_numbers_are_their_digits(text, numbers):
    """Digits of all scripts; separators differ between languages."""
    assert numbers_of(text) == Counter(numbers)


def test_behaviour_is_the_share_of_outputs_that_behave_so():
    """One loop, one copy, one empty answer, two of three numbers, of four outputs."""
    found = behaviour_of(
        ["a b 12", "copy  me", "7 and 8", "x"],
        ["12", "copy me", "no " * 7 + "no 7", " \u200b"],
        [["b"], ["a b", "a b c d"], ["a b c d e f g h i"], ["y"]],
    )
    assert (found.repetition, found.copies, found.empties) == (0.25, 0.25, 0.25)
    assert found.numbers == pytest.approx(2 / 3) and found.length_ratio == pytest.approx(3 / 4)


def test_lengths_are_counted_in_characters_where_there_are_no_spaces():
    """Half of a Chinese reference is half as long."""
    assert behaviour_of(["a"], ["我写"], [["我写程序"]]).length_ratio == 0.5
    assert behaviour_of(["a"], ["one two"], [["one two three four"]]).length_ratio == 0.5


def test_nothing_to_measure_is_told_apart_from_nothing_found():
    """Sources without numbers, references without words; an empty source is not copied by an empty answer."""
    found = behaviour_of(["", "a"], ["", ""], [[""], [" "]])
    assert found.numbers is None and found.length_ratio is None
    assert (found.copies, found.empties, found.repetition) == (0, 1, 0)
    assert behaviour_of(["1"], [""], [["a"]]).numbers == 0 and behaviour_of(["1"], [""], [["a"]]).length_ratio == 0


@given(st.lists(WORDS | st.sampled_from(SINGLE[:-2]), min_size=1, max_size=6))
def test_any_text_behaves(texts):
    """Shares are shares; who says the source says all its numbers, at its length."""
    found = behaviour_of(texts, texts, [[text] for text in texts])
    assert all(0 <= share <= 1 for share in (found.repetition, found.copies, found.empties))
    assert found.numbers in (None, 1) and found.length_ratio in (None, 1)
    assert found.copies == sum(bool(text.split()) for text in texts) / len(texts)


def test_flips_are_labels_that_differ():
    """And sides of different length are no sides."""
    assert share_of_flips(["a", "b", "c", "a"], ["a", "c", "c", "a"]) == 0.25
    for sides in (([], []), (["a"], ["a", "b"])):
        with pytest.raises(ValueError, match="labels"):
            share_of_flips(*sides)


@pytest.mark.parametrize("given_", [([], [], []), (["a"], [], [["a"]]), (["a"], ["a"], [])])
def test_sides_that_do_not_fit_are_refused(given_):
    """No examples, or not one output and references for each."""
    with pytest.raises(ValueError, match="outputs"):
        behaviour_of(*given_)
