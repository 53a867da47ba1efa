"""Nights with candidates of known quality: the rate of false promotions holds, and better models do not wait long."""

import math
from dataclasses import replace

import numpy as np
import pytest

from pipeline.config.sections.gates import GatesConfig
from pipeline.retraining.decisions import Decision
from pipeline.retraining.evidence import Evidence, Measured
from pipeline.retraining.gates import decide
from pipeline.retraining.simulation import World, simulate

NIGHTS, REPETITIONS = 1000, 120
WORSE = GatesConfig(margin=2.0, frozen_uses=NIGHTS)
# On the newest data every candidate is far better: the frozen set stands alone against it.
CHANGED = 8.0


def seeded_qualities(num_nights, *, mean, deviation, seed):
    """Qualities of the candidates of all nights, in points above the first champion."""
    return np.random.default_rng(seed).normal(mean, deviation, num_nights).tolist()


@pytest.mark.parametrize("shared", [0.0, 0.9])
@pytest.mark.parametrize("worst", [0.0, 2.0])
def test_a_thousand_nights_of_worse_candidates_promote_one_as_rarely_as_the_rate_says(shared, worst):
    """At the margin, or below it by chance: in at most the rate of repetitions, and twice its binomial deviation."""
    qualities = [-2.0 - abs(bad) for bad in seeded_qualities(NIGHTS, mean=0.0, deviation=worst, seed=5)]
    world = World(num_frozen=300, num_newest=100, shared=shared)
    found = simulate(qualities, WORSE, world, num_repetitions=REPETITIONS, seed=1, newest_advantage=CHANGED)
    rate = WORSE.false_promotion_rate
    assert found.share_with_false_promotions <= rate + 2 * math.sqrt(rate * (1 - rate) / REPETITIONS)
    assert all(
        num == 0 for num, false in zip(found.num_promotions, found.num_false_promotions, strict=True) if not false
    )


def test_without_shared_rates_the_same_nights_promote_a_worse_one():
    """A level of 5 % a night, as if it were the only one: the law above can fail."""
    world = World(num_frozen=300, num_newest=100, shared=0.0)
    settings = {"num_repetitions": 20, "seed": 1, "newest_advantage": CHANGED, "level": 0.05}
    assert simulate([-2.0] * NIGHTS, WORSE, world, **settings).share_with_false_promotions > 0.2


@pytest.mark.parametrize(("better", "num_nights"), [(1.0, 3), (2.0, 1)])
def test_a_better_model_is_promoted_soon(better, num_nights):
    """By 1 point within three nights, by 2 in the first one: 2,000 frozen and 1,000 newest examples, 19 times in 20."""
    world = World(num_frozen=2000, num_newest=1000)
    found = simulate([better] * num_nights, GatesConfig(), world, num_repetitions=100, seed=2)
    assert found.share_promoted_within(num_nights) >= 0.95 and found.share_with_false_promotions == 0


def test_a_better_model_among_worse_ones_is_found():
    """It waits from its own night on; worse ones after it stay outside."""
    qualities = [-3.0, -3.0, 3.0, -3.0, -3.0]
    found = simulate(qualities, GatesConfig(), World(num_frozen=2000, num_newest=1000), num_repetitions=50, seed=3)
    assert set(found.num_nights_waited) == {1} and set(found.num_promotions) == {1}


def test_nobody_waits_where_nobody_is_better():
    """None, not nought nights."""
    found = simulate([-1.0] * 3, GatesConfig(), World(num_frozen=100, num_newest=100), num_repetitions=5, seed=3)
    assert found.num_nights_waited == (None,) * 5 and found.share_promoted_within(3) == 0


def test_a_worn_out_set_promotes_nobody():
    """After its uses even the best model waits for ever."""
    gates = GatesConfig(frozen_uses=2)
    found = simulate([-5.0, -5.0, 5.0, 5.0], gates, World(num_frozen=1000, num_newest=1000), num_repetitions=5, seed=4)
    assert set(found.num_promotions) == {0} and set(found.num_nights_waited) == {None}


def test_an_implausible_gain_is_not_promoted():
    """On either set."""
    world = World(num_frozen=1000, num_newest=1000)
    for settings in ({"qualities": [15.0]}, {"qualities": [5.0], "newest_advantage": 8.0}):
        assert (
            simulate(**settings, gates=GatesConfig(), world=world, num_repetitions=5, seed=4).num_promotions == (0,) * 5
        )


def test_the_same_seed_gives_the_same_nights():
    """And another one others."""
    world, qualities = World(num_frozen=1000, num_newest=300), seeded_qualities(6, mean=0.5, deviation=1.0, seed=7)
    assert qualities == seeded_qualities(6, mean=0.5, deviation=1.0, seed=7)
    first, again, other = (
        simulate(qualities, GatesConfig(), world, num_repetitions=30, seed=seed) for seed in (1, 1, 2)
    )
    assert first == again != other


@pytest.mark.parametrize("quality", [-0.5, 0.3, 1.0, 2.0])
def test_nights_are_decided_as_the_gates_decide(quality):
    """The share of promotions in one simulated night is that of verdicts on scores drawn in the same way."""
    num, repetitions = 600, 150
    gates = GatesConfig(margin=1.5)
    found = simulate([quality], gates, World(num_frozen=num, num_newest=num), num_repetitions=repetitions, seed=8)
    generator, promoted = np.random.default_rng(9), 0
    champion = Measured(
        frozen_scores=(50.0,) * num, newest_scores=(50.0,) * num, num_examples=2 * num, metric="accuracy",
        signature="", decoding_digest="", size_bytes=1, milliseconds=(1.0,),
    )  # fmt: skip
    for _ in range(repetitions):
        frozen, newest = generator.normal(50 + quality, 10, (2, num)).clip(0, 100).tolist()
        candidate = replace(champion, frozen_scores=tuple(frozen), newest_scores=tuple(newest))
        evidence = Evidence(candidate=candidate, champion=champion, num_frozen_uses=0, label_flips=0.0)
        promoted += decide(evidence, gates).decision == Decision.PROMOTED
    assert abs(promoted - sum(found.num_promotions)) <= 3 * math.sqrt(repetitions / 2)
