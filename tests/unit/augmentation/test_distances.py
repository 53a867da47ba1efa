"""How far texts are from their parents."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from texts_of_the_world import EXAMPLES, WORDS

from pipeline.augmentation.distances import (
    QUANTILES,
    Distances,
    distances,
    edit_distance,
    embedding_distances,
    quantiles,
)
from pipeline.augmentation.examples import Origin, TextExample, Texts

PAIRS = st.tuples(WORDS, WORDS)


def child_of(parent, texts, generator="g"):
    """An example that was generated from texts."""
    origin = Origin(
        generator=generator, round_number=1, parent_id="p", parent_source=parent.source, parent_second=parent.second
    )
    return TextExample(source=texts.source, second=texts.second, origin=origin)


def by_table(one, other):
    """Levenshtein's distance, as it is taught."""
    row = list(range(len(other) + 1))
    for number, word in enumerate(one, 1):
        before, row = row, [number]
        for place, each in enumerate(other, 1):
            row.append(min(before[place] + 1, row[-1] + 1, before[place - 1] + (word != each)))
    return row[-1]


@given(st.lists(st.sampled_from("abc"), max_size=8), st.lists(st.sampled_from("abc"), max_size=8))
def test_edits_are_those_of_levenshtein(one, other):
    """Words for the words of the longer text."""
    found = edit_distance(Texts(" ".join(one)), Texts(" ".join(other)))
    assert found == by_table(one, other) / max(1, len(one), len(other))


@given(PAIRS, PAIRS)
def test_edit_distance_is_a_distance_up_to_its_norm(one, other):
    """Zero for the same words alone, the same both ways, never above 1, for texts and pairs in any script."""
    for cut in (slice(0, 1), slice(0, 2)):
        a, b = Texts(*one[cut]), Texts(*other[cut])
        assert edit_distance(a, a) == 0 and edit_distance(a, b) == edit_distance(b, a)
        assert 0 <= edit_distance(a, b) <= 1


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (Texts("the cat sat down"), Texts("the cat lay down"), 1 / 4),
        (Texts("the cat"), Texts("the  cat\n"), 0),
        (Texts("我在这里"), Texts("我在那里"), 1 / 4),
        (Texts("a b", "c d"), Texts("a b", "c e"), 1 / 4),
        (Texts("a b", "c d"), Texts("c d", "a b"), 1),
        (Texts("a b", ""), Texts("", "a b"), 1),
        (Texts(""), Texts("a b"), 1),
        (Texts(""), Texts(" "), 0),
    ],
)
def test_edit_distances_by_hand(one, other, expected):
    """In words or, without spaces, characters; those of a pair stay in their text."""
    assert edit_distance(one, other) == expected


def test_a_text_of_nine_thousand_words_takes_no_time():
    """Bits of a machine word are compared at once."""
    longest = max((one.texts for one in EXAMPLES), key=lambda texts: texts.source.count(" "))
    assert edit_distance(longest, Texts(f"x {longest.source}")) == 1 / 9001


def test_embeddings_are_asked_for_once_each():
    """Both of a child and of its parent; 1 - cosine, and 1 where a vector is zero."""
    asked = []
    vectors = {"x": (1, 0), "5x": (5, 0), "y": (0, 2), "-x": (-3, 0), "xy": (1, 1), "0": (0, 0)}

    def embed(texts):
        asked.append([text.source for text in texts])
        return np.array([vectors[text.source] for text in texts])

    children = [child_of(Texts("x"), Texts(name)) for name in ("5x", "y", "-x", "xy", "0", "x")]
    found = embedding_distances(embed, children)
    assert found == pytest.approx([0, 1, 2, 1 - 0.5**0.5, 1, 0], abs=1e-15)
    assert asked == [["5x", "x", "y", "-x", "xy", "0"]]
    assert embedding_distances(embed, []) == [] and len(asked) == 1


def test_a_row_says_all_that_is_known():
    """And leaves empty what nobody was asked."""
    child = child_of(Texts("a b"), Texts("a c"))
    (bare,) = distances([child])
    (full,) = distances([child], embed=lambda texts: np.eye(2), confidences=[0.75])
    assert bare.measures == {"edit": 0.5} and full.measures == {"edit": 0.5, "embedding": 1.0, "confidence": 0.75}
    assert bare.row["embedding"] is None and full.row["confidence"] == 0.75
    assert (full.row["parent_source"], full.row["source"], full.row["generator"]) == ("a b", "a c", "g")


def test_quantiles_are_told_by_generator():
    """Of what is known; nan is nowhere."""
    rows = [
        Distances(example=child_of(Texts("p"), Texts("c"), name), edit=edit, confidence=confidence)
        for name, edit, confidence in [("a", 0.0, None), ("a", 1.0, None), ("b", 0.5, 0.9), ("b", 0.5, float("nan"))]
    ]
    assert quantiles(rows) == {
        "a": {"edit": list(QUANTILES)},
        "b": {"edit": [0.5] * len(QUANTILES), "confidence": [0.9] * len(QUANTILES)},
    }
    assert quantiles([]) == {}


def test_what_was_not_generated_has_no_distance():
    """It has no parent; nor may a confidence be missing."""
    with pytest.raises(ValueError, match="no generated example: 'a'"):
        distances([TextExample(source="a")])
    with pytest.raises(ValueError, match="zip"):
        distances([child_of(Texts("a"), Texts("b"))], confidences=[])
