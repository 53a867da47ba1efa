"""Words that change places."""

import random
from collections import Counter

import pytest
from texts_of_the_world import EXAMPLES

from pipeline.augmentation.examples import TextExample
from pipeline.augmentation.generators.rewriter import Draft
from pipeline.augmentation.generators.word_swap import WordSwap
from pipeline.augmentation.words import parts_of


def swapped(example, seed=0, **options):
    """A text with words exchanged."""
    (made,) = WordSwap(**options)([Draft(parent=example, random=random.Random(seed))], [])
    return made


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_the_words_of_a_text_stay_the_same(example):
    """Each in its own text of a pair; of single words nothing is made."""
    before = [[word.text for word in words] for words in parts_of(example.texts)]
    made = swapped(example)
    assert (made is None) == all(len(words) < 2 for words in before)
    after = [[word.text for word in words] for words in parts_of(made.texts if made else example.texts)]
    assert list(map(Counter, after)) == list(map(Counter, before))


def test_no_word_goes_farther_than_the_reach():
    """One exchange, at most two places; lines stay where they were."""
    places = set()
    for seed in range(60):
        words = swapped(TextExample(source="a b c\nd e"), seed, fraction=0.0, reach=2).texts.source
        assert words[5] == "\n"
        moved = [place for place, (now, then) in enumerate(zip(words.split(), "abcde", strict=True)) if now != then]
        places.add(tuple(moved))
    assert places == {(0, 1), (0, 2), (1, 2), (1, 3), (2, 3), (2, 4), (3, 4)}
