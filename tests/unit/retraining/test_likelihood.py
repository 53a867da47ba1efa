"""What a teacher says of targets: own ones against those of others."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up_pairs import labelled, moved, translations

from pipeline.config.errors import UserError
from pipeline.retraining.likelihood import alignment_by_likelihood, other_targets
from pipeline.retraining.pairs import Pairs

ROWS = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("xyz")), max_size=12)


@given(ROWS)
def test_the_other_target_is_another_s_and_another(rows):
    """The next one below with both different; only where there is none a pair is left out."""
    pairs = Pairs([source for source, _ in rows], [target for _, target in rows])
    found = dict(other_targets(pairs))
    for place, (source, target) in enumerate(rows):
        around = [(place + step) % len(rows) for step in range(1, len(rows))]
        fitting = [other for other in around if rows[other][0] != source and rows[other][1] != target]
        assert found.get(place) == (fitting[0] if fitting else None)


def nll(pairs, truth, accuracy, seed=0):
    """What a teacher that is right so often says of the targets of pairs and of others."""
    rng, own, other, labels = random.Random(seed), [], [], []
    for place, there in other_targets(pairs):
        right = truth[place]
        believed = right if rng.random() < accuracy else pairs.targets[rng.randrange(len(pairs))]
        own.append(0.1 if pairs.targets[place] == believed else 2.0 + rng.random())
        other.append(0.1 if pairs.targets[there] == believed else 2.0 + rng.random())
        labels.append(pairs.targets[place])
    return own, other, labels


@pytest.mark.parametrize("lines", [1, -1, 7])
def test_a_slipped_file_is_refused(lines):
    """Texts or labels; the same file as it was passes."""
    for pairs, has_labels in ((translations(400), False), (labelled(400), True)):
        for examples, passes in ((pairs, True), (moved(pairs, lines), False)):
            own, other, labels = nll(examples, pairs.targets, 0.8)
            assert alignment_by_likelihood(own, other, 0.6, labels if has_labels else None).passed is passes


def test_a_teacher_that_always_says_the_commonest_label_has_half():
    """However common it is: it does not look at the source."""
    labels = ["yes"] * 900 + ["no"] * 100
    own, other = zip(*((0.1, 2.0) if label == "yes" else (2.0, 0.1) for label in labels), strict=True)
    assert alignment_by_likelihood(own, other, 0.6, labels).measured == 0.5
    assert alignment_by_likelihood(own, other, 0.6).measured == 0.9


@pytest.mark.parametrize(("own", "other"), [(1.0, 1.0), (math.nan, 1.0), (1.0, math.nan), (-math.inf, 1.0)])
def test_what_is_not_likelier_counts_against_the_pair(own, other):
    """Equal, unknown and impossible numbers."""
    result = alignment_by_likelihood([own] * 20, [other] * 20, 0.6)
    assert result.measured == 0.0 and not result.passed


@pytest.mark.parametrize(("num", "labels"), [(0, None), (9, None), (20, ["yes"] * 20), (20, ["yes"] * 19 + ["no"])])
def test_few_pairs_or_one_label_tell_nothing(num, labels):
    """It is said so, and nothing is measured."""
    result = alignment_by_likelihood([1.0] * num, [2.0] * num, 0.6, labels)
    assert result.passed and result.measured is None


def test_numbers_that_do_not_belong_together_are_refused():
    """Not as many of one as of the other."""
    with pytest.raises(UserError, match="as many"):
        alignment_by_likelihood([1.0], [1.0, 2.0], 0.6)
