"""Words that are hidden, and what is put in their places."""

import random

import pytest
from texts_of_the_world import EXAMPLES

from pipeline.augmentation.examples import TextExample, Texts
from pipeline.augmentation.generators.rewriter import Draft
from pipeline.augmentation.generators.span_refill import SpanRefill
from pipeline.augmentation.words import parts_of


class Stars:
    """Fills every mask by a star and remembers what it was asked."""

    mask = "[MASK]"

    def __init__(self):
        self.asked = []

    def __call__(self, texts, seeds):
        self.asked += zip(texts, seeds, strict=True)
        return [text.replace(self.mask, "*") for text in texts]


def refilled(examples, fill, **options):
    """The examples with stars."""
    drafts = [Draft(parent=example, random=random.Random(number)) for number, example in enumerate(examples)]
    return SpanRefill(fill=fill, **options)(drafts, [])


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
@pytest.mark.parametrize("fraction", [0.0, 0.3, 1.0])
def test_so_many_words_are_hidden_and_the_others_stay(example, fraction):
    """One at least, in their places; of texts without words nothing is made."""
    before = [[word.text for word in words] for words in parts_of(example.texts)]
    num = sum(map(len, before))
    (made,) = refilled([example], Stars(), fraction=fraction)
    assert (made is None) == (num == 0)
    after = [part.replace("*", " * ").split() for part in made.texts if part is not None] if made else before
    stars = sum(part.count("*") for part in after)
    assert stars == (min(num, max(1, round(fraction * num))) if made else 0)


def test_every_text_is_filled_once_and_finds_its_example():
    """All in one call, each with a seed of its own; texts of a pair that stay whole are not asked for."""
    fill = Stars()
    examples = [TextExample(source="a"), TextExample(source="b", second=""), TextExample(source=""), *EXAMPLES[-7:]]
    made = refilled(examples, fill, fraction=1.0)
    assert [one and one.texts for one in made[:4]] == [
        Texts("*"),
        Texts("*", ""),
        None,
        Texts("* * * * * *", "* * * * * *"),
    ]
    assert len({seed for _, seed in fill.asked}) == len(fill.asked) > 8


def test_who_writes_the_mask_is_left_alone():
    """Nobody could tell that one from those that are hidden."""
    assert refilled([TextExample(source="a [MASK] b"), TextExample(source="a", second="[MASK]")], Stars()) == [
        None,
        None,
    ]


def test_spans_are_not_longer_than_asked():
    """Without touching spans none has more words; half of the words of a long text."""
    source = " ".join(map(str, range(2000)))
    (made,) = refilled([TextExample(source=source)], Stars(), fraction=0.01, max_span_words=2)
    runs = [len(run.split()) for run in made.texts.source.translate(dict.fromkeys(range(48, 58), "|")).split("|")]
    assert sum(runs) == 20 and max(runs) == 2
