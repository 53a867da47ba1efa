"""What is trusted: all examples beside the accepted ones, what is new by itself, what a teacher can tell."""

import random
from dataclasses import replace

import pytest
from small_task import WORDS

from pipeline.config.sections.data_checks import DataChecksConfig
from pipeline.retraining.likelihood import Likelihoods
from pipeline.stages.retrain.check import Checked, check_night_data, check_table, with_likelihood
from pipeline.stages.retrain.data import Accepted, NightData

CONFIG = DataChecksConfig(min_examples=10, max_commonest=1.0, max_length_shift=1.0, max_letter_shift=1.0)


def examples(number, seed):
    """Sentences of their own names, titled by their beginning."""
    draw, rows = random.Random(seed), []
    for _ in range(number):
        words = [f"{draw.choice(WORDS)}{draw.randint(1000, 9999)}", *draw.choices(WORDS, k=draw.randint(4, 9))]
        rows.append({"source": " ".join(words), "target": " ".join(words[:3])})
    return rows


OLD, NEW, FROZEN = examples(400, 1), examples(60, 2), examples(30, 3)


def night(new, leaking=()):
    return NightData(
        fingerprint="f",
        frozen_digest="d",
        train=[*OLD, *new],
        new=new,
        newest=[],
        leaking=leaking,
        validation=FROZEN,
        frozen=FROZEN,
        has_labels=False,
    )


def test_a_few_bad_new_examples_show_among_many_good_old_ones():
    """They are looked at by themselves; without anything accepted there is nothing that they are new to."""
    accepted = Accepted(rows=OLD, newest=[])
    slipped = [{**row, "target": other["target"]} for row, other in zip(NEW, [*NEW[1:], NEW[0]], strict=True)]
    assert check_night_data(night(NEW), accepted, CONFIG).refusals == []
    refusals = check_night_data(night(slipped), accepted, CONFIG).refusals
    assert refusals and all(one.startswith("new examples, alignment") for one in refusals)


def test_many_examples_of_the_frozen_set_are_a_leak():
    """A few are counted, and nobody is trained on them; many are refused."""
    for number, refused in ((2, False), (20, True)):
        checked = check_night_data(night(NEW, FROZEN[:number]), Accepted(rows=OLD, newest=[]), CONFIG)
        assert any("overlap" in one for one in checked.refusals) is refused


def test_a_handful_of_new_examples_is_not_judged_by_itself():
    """Of five texts every fifth is a fifth: shares and distances of so few are chance."""
    checked = check_night_data(night(NEW[:5]), Accepted(rows=OLD, newest=[]), CONFIG)
    assert checked.refusals == [] and any("too few to be checked" in one.sentence for one in checked.results)


def said(share, number=100):
    """A teacher that finds so many of the own targets likelier."""
    right = round(share * number)
    return Likelihoods(true_nll=[1.0] * number, shuffled_nll=[2.0] * right + [0.5] * (number - right))


@pytest.mark.parametrize(
    ("new", "reference", "passed"),
    [
        (0.95, 0.97, True),
        (0.52, 0.97, False),  # slipped
        (0.52, None, False),
        (0.58, 0.58, True),  # a weak teacher: what it cannot tell of accepted pairs is not asked of new ones
        (0.5, 0.52, True),  # one that knows nothing
        (0.05, 0.97, False),
    ],
)
def test_a_teacher_is_believed_as_far_as_it_could_tell_accepted_pairs(new, reference, passed):
    """Pairs that it was not trained on."""
    before = Checked(results=[])
    found = with_likelihood(before, said(new), None if reference is None else said(reference), replace(CONFIG))
    assert (found.refusals == []) is passed and len(check_table(found)) == 2
