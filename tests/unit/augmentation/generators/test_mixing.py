"""Texts that are cut and joined."""

import random

import pytest
from hypothesis import given
from texts_of_the_world import POINTS

from pipeline.augmentation.examples import TextExample, Texts
from pipeline.augmentation.generators.mixing import Mixing
from pipeline.augmentation.generators.rewriter import Draft
from pipeline.augmentation.words import parts_of


def mixed(points, seed=0, **options):
    """A child of every point."""
    drafts = [Draft(parent=point, random=random.Random(f"{seed}{point.id}")) for point in points]
    return Mixing(**options)(drafts, points)


def test_the_beginning_of_one_and_the_end_of_a_neighbour():
    """Cut at the same fraction, anywhere but near the ends."""
    points = [TextExample(source="a b c d", target="x"), TextExample(source="a f g h", target="y")]
    found = {made.texts.source for seed in range(50) for made in mixed(points, seed)[:1]}
    assert found == {"a f g h", "a b g h", "a b c h"}
    assert mixed(points)[0].mixed_with == points[1].id


def test_both_texts_of_a_pair_are_cut_at_the_same_fraction():
    """And stay what they are: first with first, second with second; a pair is no neighbour of a text."""
    pairs = [TextExample(source="a b", second="p q r s"), TextExample(source="a d", second="t u v w")]
    found = {made.texts for seed in range(80) for made in mixed([*pairs, TextExample(source="a b")], seed)[:1]}
    assert Texts("a d", "p q v w") in found
    assert {len(texts.second.split()) for texts in found} == {4} and all("t" not in texts.second for texts in found)
    assert mixed([*pairs, TextExample(source="a b")])[2] is None


@pytest.mark.parametrize("num_neighbours", [1, 2])
def test_the_nearest_are_taken(num_neighbours):
    """By the words that they share for the number of all; who shares none is nobody's neighbour."""
    texts = ["a b c d", "a b c x", "a y z w", "k l m n", "a b c d e f g h i j k"]
    points = [TextExample(source=text) for text in texts]
    name = {point.id: text for point, text in zip(points, texts, strict=True)}
    found = {name[mixed(points, seed, num_neighbours=num_neighbours)[0].mixed_with] for seed in range(40)}
    assert found == set([texts[1], texts[4]][:num_neighbours])
    assert mixed(points[2:4]) == [None, None] and mixed(points[:1]) == [None] and mixed([]) == []


@given(POINTS)
def test_every_word_comes_from_one_of_the_two(points):
    """And both give some where both have enough."""
    unique = list({point.id: point for point in points}.values())
    by_name = {point.id: point for point in unique}
    for point, made in zip(unique, mixed(unique), strict=True):
        other = by_name[made.mixed_with] if made else point
        parents = [*parts_of(point.texts), *parts_of(other.texts)]
        words = {word.text for part in parents for word in part}
        child = parts_of(made.texts) if made else parts_of(point.texts)
        assert {word.text for part in child for word in part} <= words and other.id in by_name
