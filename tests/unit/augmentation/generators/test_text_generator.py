"""What holds for texts from every rewriter, and for several of them together."""

import random
import re
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from texts_of_the_world import EXAMPLES, POINTS

from pipeline.augmentation.examples import TextExample, Texts
from pipeline.augmentation.generators.back_translation import BackTranslation
from pipeline.augmentation.generators.mixing import Mixing
from pipeline.augmentation.generators.rewriter import Rewritten
from pipeline.augmentation.generators.span_refill import SpanRefill
from pipeline.augmentation.generators.text_generator import TextGenerator
from pipeline.augmentation.generators.word_dropout import WordDropout
from pipeline.augmentation.generators.word_swap import WordSwap


class Letters:
    """Fills masks by letters, each text by its own seed."""

    mask = "<mask>"

    def __call__(self, texts, seeds):
        rngs = [random.Random(seed) for seed in seeds]
        return [re.sub(self.mask, partial(self._letter, rng), text) for text, rng in zip(texts, rngs, strict=True)]

    def _letter(self, rng, match):
        return rng.choice("uvwxyz")


def turned(texts):
    """A language whose words stand in the opposite order and begin with x."""
    return [" ".join(f"x{word}" for word in reversed(text.split())) for text in texts]


def back(texts):
    """Back from it, but `the` has become `a`."""
    return [" ".join({"xthe": "a"}.get(word, word[1:]) for word in reversed(text.split())) for text in texts]


REWRITERS = [
    WordDropout(),
    WordDropout(fraction=1.0, name="all_dropped"),
    WordSwap(),
    SpanRefill(fill=Letters()),
    Mixing(),
    BackTranslation(there=turned, back=back),
]
EACH = pytest.mark.parametrize("rewriter", REWRITERS, ids=lambda rewriter: rewriter.name)


def generator_of(*rewriters, **options):
    """A generator of these."""
    return TextGenerator(rewriters, **{"num_per_point": 2, "seed": 3} | options)


def check_new(children, points, num_per_point=2):
    """Every child is another text than all points and all other children, tells its origin, and has no answer."""
    names = [child.id for child in children]
    parents = {point.id: point for point in reversed(points)}
    assert len(set(names)) == len(names) and not set(names) & set(parents)
    for child in children:
        parent = parents[child.origin.parent_id]
        assert child.target is None and child.origin.parent_texts == parent.texts
        assert child.origin.parent_target == parent.target
        assert (child.second is None) == (parent.second is None)
        assert any(text and text.strip() for text in child.texts)
    made = [(child.origin.generator, child.origin.parent_id) for child in children]
    assert all(made.count(one) <= num_per_point for one in made)


@EACH
def test_texts_of_all_scripts_have_new_children(rewriter):
    """Empty ones, single words, emoji, pairs, texts of nine thousand words."""
    generation = generator_of(rewriter).generate(1, EXAMPLES)
    check_new(generation.children, EXAMPLES)
    counts = generation.counts[rewriter.name]
    assert counts.made == len(generation.children) > 0 and counts.asked == 2 * len({one.id for one in EXAMPLES})
    assert counts.impossible > 0 and counts.made < counts.asked


@EACH
@settings(max_examples=40)
@given(POINTS, st.integers(1, 3), st.randoms(use_true_random=False))
def test_the_order_of_the_points_changes_nothing(rewriter, points, round_number, rng):
    """Nor does who was asked before: seed, round and points say what comes out."""
    shuffled = rng.sample(points, len(points))
    one, other = (generator_of(rewriter).generate(round_number, each) for each in (points, shuffled))
    assert [child.texts for child in one.children] == [child.texts for child in other.children]
    assert one.counts == other.counts
    check_new(one.children, points)


@pytest.mark.parametrize("rewriter", [one for one in REWRITERS if one.name != "mixing"], ids=lambda one: one.name)
def test_a_child_depends_on_its_parent_alone(rewriter):
    """Whoever else makes mistakes; who mixes needs others."""
    points = [one for one in EXAMPLES if one.source.startswith("the cat sat")]
    alone = [child for point in points for child in generator_of(rewriter)(1, [point])]
    together = [
        child
        for child in generator_of(rewriter)(1, EXAMPLES)
        if child.origin.parent_id in {point.id for point in points}
    ]
    assert {child.texts for child in alone} == {child.texts for child in together} != set()


@pytest.mark.parametrize("rewriter", [one for one in REWRITERS if one.is_random], ids=lambda one: one.name)
def test_rounds_and_seeds_give_other_children(rewriter):
    """Both are part of every child's randomness."""
    found = [
        {child.texts for child in generator_of(rewriter, seed=seed)(number, EXAMPLES)}
        for seed, number in ((0, 1), (0, 2), (1, 1))
    ]
    assert found[0] != found[1] != found[2] != found[0]


def test_what_is_known_or_was_made_before_does_not_come_out_again():
    """By itself or by another rewriter, in this round or an earlier one; a round that is repeated is the same."""
    point = TextExample(source="a b c")
    all_six = generator_of(WordDropout(fraction=0.0), WordDropout(fraction=1.0, name="more"), num_per_point=9)
    first = all_six.generate(1, [point])
    assert {child.source for child in first.children} == {"a b", "a c", "b c", "a", "b", "c"}
    assert [first.counts[name].made for name in ("word_dropout", "more")] == [3, 3]
    assert all_six.generate(2, [point]).children == () and all_six.generate(2, [point]).counts["more"].known > 0
    assert all_six.generate(1, [point]) == first
    known = {TextExample(source=text).id for text in ("a  b", "c")}
    fewer = generator_of(WordDropout(fraction=0.0), num_per_point=9, known=known).generate(1, [point])
    assert {child.source for child in fewer.children} == {"a c", "b c"}


def test_of_equal_points_the_first_is_the_parent():
    """They differ in space alone; each text is rewritten once."""
    points = [TextExample(source="a b", target="1"), TextExample(source=" a  b", target="2")]
    children = generator_of(WordDropout(), num_per_point=9)(1, points)
    assert {(child.source, child.origin.parent_target) for child in children} == {("a", "1"), ("b", "1")}


def test_counts_say_what_became_of_every_draft():
    """A rewriter that gives back what it got, nothing, or space."""

    class Told:
        name, is_random = "told", False

        def __call__(self, drafts, points):
            said = {"same": "same ", "none": None, "space": " ", "new": "other"}
            made = [said[draft.parent.source] for draft in drafts]
            return [None if text is None else Rewritten(texts=Texts(text)) for text in made]

    points = [TextExample(source=text) for text in ("same", "none", "space", "new")]
    counts = generator_of(Told(), num_per_point=1).generate(1, points).counts["told"]
    assert (counts.asked, counts.made, counts.impossible, counts.unchanged) == (4, 1, 2, 1)
    assert generator_of(Told(), known={points[0].id}).generate(1, []).children == ()


def test_two_of_one_name_are_refused():
    """Nobody could tell whose children they are."""
    with pytest.raises(ValueError, match="word_swap"):
        generator_of(WordSwap(), WordSwap(reach=1))


def test_without_points_nobody_is_asked():
    """A model need not be run for nothing."""
    assert generator_of(*REWRITERS).generate(1, []).children == ()
