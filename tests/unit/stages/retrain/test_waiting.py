"""How long better models wait, by tonight's own numbers."""

import random

import pytest

from pipeline.config.sections.gates import GatesConfig
from pipeline.retraining.evidence import Measured
from pipeline.stages.retrain.waiting import waiting_note, waiting_table


def measured(frozen, newest):
    told = {"metric": "rougeLsum", "signature": "", "decoding_digest": "", "size_bytes": 1, "milliseconds": (1.0,)}
    return Measured(
        frozen_scores=tuple(frozen), newest_scores=tuple(newest), num_examples=len(frozen) + len(newest), **told
    )


def scores(number, seed, spread=10):
    draw = random.Random(seed)
    return [min(100.0, max(0.0, draw.gauss(50, spread))) for _ in range(number)]


def table(num_frozen, num_newest, gates=None, spread=10):
    sides = (measured(scores(num_frozen, seed, spread), scores(num_newest, seed, spread)) for seed in (1, 2))
    return waiting_table(*sides, gates or GatesConfig(), seed=3)


def shares(lines, column):
    return [float(line[column].rstrip("%")) for line in lines[1:]]


def test_larger_gains_and_more_nights_and_examples_wait_less():
    """Each by itself; the sentence names the least gain that a week promotes."""
    few, many = table(300, 200), table(3000, 1500)
    for lines in (few, many):
        assert shares(lines, 1) == sorted(shares(lines, 1)) and shares(lines, 2) == sorted(shares(lines, 2))
        assert all(first <= week for first, week in zip(shares(lines, 1), shares(lines, 2), strict=True))
    assert shares(many, 2) >= shares(few, 2) and shares(many, 2)[-1] == 100
    assert "is nearly sure to be promoted within 7 nights" in waiting_note(many)


def test_gates_that_let_nobody_pass_are_seen():
    """A frozen set that is too small for its margin; and the sentence says so."""
    lines = table(60, 60, GatesConfig(margin=0.1), spread=30)
    assert set(shares(lines, 2)) == {0.0}
    assert waiting_note(lines) == "Not even a gain of 4 points is nearly sure to be promoted within 7 nights."


def test_the_same_night_says_the_same():
    """The draws are seeded."""
    assert table(200, 100) == table(200, 100)


@pytest.mark.parametrize(
    ("frozen", "newest"),
    [
        (([50.0] * 9, [50.0] * 9), ([50.0] * 9, [50.0] * 9)),
        ((scores(9, 1), scores(9, 2)), ([], [])),
        (([float("nan")] * 9, scores(9, 2)), (scores(9, 3), scores(9, 4))),
        ((scores(9, 1), scores(8, 2)), (scores(9, 3), scores(9, 4))),
    ],
    ids=["equal answers", "no newest data", "no numbers", "other examples"],
)
def test_where_nothing_is_known_nothing_is_said(frozen, newest):
    """No chance to draw from, or nothing to be better on."""
    candidate, champion = (measured(*side) for side in zip(frozen, newest, strict=True))
    assert waiting_table(candidate, champion, GatesConfig(), seed=3) is None
