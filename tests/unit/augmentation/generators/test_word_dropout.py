"""Words that are left out."""

import random

import pytest
from texts_of_the_world import EXAMPLES

from pipeline.augmentation.examples import TextExample
from pipeline.augmentation.generators.rewriter import Draft
from pipeline.augmentation.generators.word_dropout import WordDropout
from pipeline.augmentation.words import parts_of


def dropped(example, seed=0, **options):
    """A text with words left out."""
    (made,) = WordDropout(**options)([Draft(parent=example, random=random.Random(seed))], [])
    return made


def is_within(part, whole):
    """Whether words stand in a text in their order."""
    rest = iter(whole)
    return all(word in rest for word in part)


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
@pytest.mark.parametrize("fraction", [0.0, 0.15, 1.0])
def test_so_many_words_are_left_out_and_the_others_stay_in_their_order(example, fraction):
    """One at least, and of every text that has words one stays; where that cannot be, nothing is made."""
    before = [[word.text for word in words] for words in parts_of(example.texts)]
    num = sum(map(len, before))
    leaving = min(num - sum(map(bool, before)), max(1, round(fraction * num)))
    made = dropped(example, fraction=fraction)
    assert (made is None) == (leaving == 0)
    after = [[word.text for word in words] for words in parts_of(made.texts if made else example.texts)]
    assert sum(map(len, after)) == num - leaving
    assert all(map(is_within, after, before)) and list(map(bool, after)) == list(map(bool, before))


def test_every_word_may_be_the_one():
    """Of two words either."""
    assert {dropped(TextExample(source="a b"), seed).texts.source for seed in range(20)} == {"a", "b"}
