"""The loop with parts that say what they are told to."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.augmentation.agora import AgoraSettings, Best, Round, Stop, agora, ranked
from pipeline.augmentation.pruning_rule import RULES
from pipeline.config.errors import UserError

ACCURACIES = st.floats(0, 1) | st.just(math.nan)


class Parts:
    """Learner, generator and labeller of numbers; `asked` is what they were asked, in order.

    Args:
        accuracy: of a theta in a round.
        num_mistakes: of a round's best candidate.
        num_generated: near each mistake.
        refused: numbers that the labeller leaves out.
    """

    def __init__(self, accuracy, num_mistakes=lambda number: 3, num_generated=2, refused=lambda point: False):
        self.accuracy, self.num_mistakes, self.num_generated, self.refused = (
            accuracy,
            num_mistakes,
            num_generated,
            refused,
        )
        self.asked = []

    def fit(self, round_number, thetas, added):
        self.asked.append(("fit", round_number, tuple(thetas), tuple(added)))
        return [self.accuracy(round_number, theta) for theta in thetas]

    def mistakes(self, round_number, theta):
        self.asked.append(("mistakes", round_number, theta))
        return [f"{round_number}.{number}" for number in range(self.num_mistakes(round_number))]

    def generate(self, round_number, points):
        self.asked.append(("generate", round_number, tuple(points)))
        return [f"{point}{letter}" for point in points for letter in "abc"[: self.num_generated]]

    def label(self, round_number, points):
        self.asked.append(("label", round_number, tuple(points)))
        return [point.upper() for point in points if not self.refused(point)]


def play(parts, num_thetas=2, listener=lambda finished, added: None, **settings):
    """The loop with such parts."""
    settings = AgoraSettings(**{"max_rounds": 3, "max_added": 100, "rule": "keep_all"} | settings)
    return agora(parts, parts.label, parts.generate, num_thetas=num_thetas, settings=settings, listener=listener)


def test_rounds_by_hand():
    """Two thetas and two rounds: who is asked for what, in which order; the last round generates nothing."""
    parts = Parts(lambda number, theta: [[0.5, 0.6], [0.8, 0.7]][number - 1][theta], lambda number: 3 - number)
    heard = []
    result = play(parts, max_rounds=2, listener=lambda finished, added: heard.append((finished.number, list(added))))
    new = ("1.0a", "1.0b", "1.1a", "1.1b")
    assert parts.asked == [
        ("fit", 1, (0, 1), ()),
        ("mistakes", 1, 1),
        ("generate", 1, ("1.0", "1.1")),
        ("label", 1, new),
        ("fit", 2, (0, 1), ("1.0A", "1.0B", "1.1A", "1.1B")),
        ("mistakes", 2, 0),
    ]
    first, second = result.rounds
    assert first == Round(
        number=1,
        ranking=(1, 0),
        accuracies=(0.6, 0.5),
        num_mistakes=2,
        num_generated=4,
        num_added=4,
        pruned=(),
    )
    assert (first.best, second.best, second.num_mistakes, second.num_generated, second.num_added) == (1, 0, 1, 0, 0)
    assert result.best == Best(round_number=2, theta=0, accuracy=0.8) and result.stop == Stop.MAX_ROUNDS
    assert heard == [(1, ["1.0A", "1.0B", "1.1A", "1.1B"]), (2, [])]


@given(st.lists(st.lists(ACCURACIES, min_size=4, max_size=4), min_size=6, max_size=6), st.sampled_from(sorted(RULES)))
def test_whatever_the_accuracies_are_the_loop_ends_and_its_books_agree(table, rule):
    """The best is the best of all rounds; what was pruned is not trained again; nothing is added beyond the budget."""
    parts = Parts(lambda number, theta: table[number - 1][theta])
    result = play(parts, num_thetas=4, max_rounds=6, max_added=10, rule=rule)
    valid = [one for fit in result.rounds for one in fit.accuracies if not math.isnan(one)]
    assert (result.best and result.best.accuracy) == max(valid, default=None)
    left, num_added = [0, 1, 2, 3], 0
    for fit, finished in zip((one for one in parts.asked if one[0] == "fit"), result.rounds, strict=True):
        assert list(fit[2]) == left == sorted(finished.ranking) and len(fit[3]) == num_added
        left = [theta for theta in left if theta not in finished.pruned]
        num_added += finished.num_added
    assert num_added <= 10 and (rule != "published" or len(result.rounds) <= 5)
    assert result.rounds[-1].num_added == 0


@given(st.lists(st.lists(ACCURACIES, min_size=3, max_size=3), min_size=4, max_size=4), st.sampled_from(sorted(RULES)))
def test_it_can_be_played_again_from_the_beginning(table, rule):
    """The same parts give the same questions and the same result: so jobs go on after they were killed."""
    once, again = (Parts(lambda number, theta: table[number - 1][theta]) for _ in range(2))
    first, second = (play(parts, num_thetas=3, max_rounds=4, rule=rule) for parts in (once, again))
    assert once.asked == again.asked and repr(first) == repr(second)


def test_equal_ones_rank_by_number_and_failed_ones_last():
    """The nan of one training is another object than that of another."""
    assert ranked({0: float("nan"), 1: 0.5, 2: 0.7, 3: 0.5, 4: float("nan"), 5: 0.0}) == [2, 1, 3, 5, 0, 4]


@pytest.mark.parametrize("rule", sorted(RULES))
def test_a_theta_that_failed_is_pruned_by_every_rule(rule):
    """And is never the best, though it was once."""
    parts = Parts(lambda number, theta: math.nan if (number, theta) == (2, 0) else 0.9 - 0.1 * theta)
    result = play(parts, num_thetas=3, rule=rule)
    assert result.rounds[1].ranking[-1] == 0 and 0 in result.rounds[1].pruned
    assert result.best == Best(round_number=1, theta=0, accuracy=0.9)


@pytest.mark.parametrize(
    ("parts", "settings", "stop", "num_rounds", "num_added"),
    [
        ({"num_mistakes": lambda number: 0}, {}, Stop.NO_MISTAKES, 1, 0),
        ({"num_mistakes": lambda number: 2 - number}, {}, Stop.NO_MISTAKES, 2, 2),
        ({"num_generated": 0}, {}, Stop.NOTHING_NEW, 1, 0),
        ({"refused": lambda point: True}, {}, Stop.NOTHING_LABELLED, 1, 0),
        ({"refused": lambda point: point.endswith("b")}, {}, Stop.MAX_ROUNDS, 3, 6),
        ({}, {"max_added": 0}, Stop.BUDGET, 1, 0),
        ({}, {"max_rounds": 9, "max_added": 7}, Stop.BUDGET, 3, 7),
        ({}, {"max_rounds": 1}, Stop.MAX_ROUNDS, 1, 0),
        ({}, {"max_rounds": 9, "patience": 2}, Stop.NO_IMPROVEMENT, 3, 12),
        ({}, {"max_rounds": 9, "rule": "published"}, Stop.NO_THETA, 2, 6),
        ({"accuracy": lambda number, theta: math.nan}, {}, Stop.ALL_FAILED, 1, 0),
    ],
)
def test_why_it_stops(parts, settings, stop, num_rounds, num_added):
    """Each reason, and what was done until then; nothing is generated for a round that will not be."""
    made = Parts(**{"accuracy": lambda number, theta: 0.5} | parts)
    result = play(made, **settings)
    assert (result.stop, len(result.rounds)) == (stop, num_rounds)
    assert sum(finished.num_added for finished in result.rounds) == num_added
    asked = [question[0] for question in made.asked if question[1] == num_rounds]
    assert ("generate" in asked) == (stop in (Stop.NOTHING_NEW, Stop.NOTHING_LABELLED))


def test_a_budget_is_filled_before_the_labeller_is_asked():
    """No answer of the labeller is thrown away, and one more round learns from what was added last."""
    parts = Parts(lambda number, theta: 0.5)
    play(parts, max_added=7)
    assert [len(question[2]) for question in parts.asked if question[0] == "label"] == [6, 1]
    assert len(parts.asked[-2][3]) == 7


@pytest.mark.parametrize(("least", "num_rounds"), [(0.0, 5), (0.03, 4), (0.2, 2)])
def test_patience_counts_rounds_that_improve_by_too_little(least, num_rounds):
    """Accuracies 50, 55, 57, 58, 59 %: by how much a round must be better than the best before."""
    steps = [0.5, 0.55, 0.57, 0.58, 0.59]
    patience = 1 if least == 0.2 else 2
    result = play(
        Parts(lambda number, theta: steps[number - 1]), max_rounds=5, patience=patience, min_improvement=least
    )
    assert len(result.rounds) == num_rounds and result.best.accuracy == steps[num_rounds - 1]


def test_all_failed_leaves_no_best():
    """There is nothing to hand on, and nobody is asked for mistakes."""
    parts = Parts(lambda number, theta: math.nan)
    result = play(parts)
    assert result.best is None and [question[0] for question in parts.asked] == ["fit"]


@pytest.mark.parametrize(
    "changed",
    [
        {"max_rounds": 0},
        {"max_added": -1},
        {"patience": 0},
        {"min_improvement": -0.1},
        {"min_improvement": math.nan},
        {"rule": "best"},
    ],
)
def test_settings_without_sense_are_refused(changed):
    """The message holds what was given."""
    with pytest.raises(UserError, match=str(next(iter(changed.values())))):
        AgoraSettings(**{"max_rounds": 1, "max_added": 1} | changed)


def test_without_hyper_parameters_nothing_can_be_trained():
    """One is enough."""
    with pytest.raises(UserError, match="1 or more"):
        play(Parts(lambda number, theta: 0.5), num_thetas=0)
    assert play(Parts(lambda number, theta: 0.5), num_thetas=1).best.theta == 0


def test_a_learner_that_answers_for_others_is_a_mistake():
    """One accuracy for every theta, neither fewer nor more."""
    parts = Parts(lambda number, theta: 0.5)
    parts.fit = lambda round_number, thetas, added: [0.5]
    with pytest.raises(ValueError, match="zip"):
        play(parts)
