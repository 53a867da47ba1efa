"""Settings of Agora: hyper-parameter sets, names, and what does not go together."""

import pytest

from pipeline.augmentation.pruning_rule import RULES
from pipeline.config.errors import UserError
from pipeline.config.sections import agora
from pipeline.config.sections.agora import AgoraConfig, BoundsConfig, ThetaConfig
from pipeline.config.sections.training import TrainConfig


def test_every_rule_that_may_be_named_is_there_and_the_other_way_round():
    """The settings know the names, the package what they do."""
    assert set(agora.RULES) == set(RULES)


def test_hyper_parameters_are_combined_and_the_rest_is_the_training_s():
    """Every combination once; an empty list keeps what `student` says; a number of seeds counts from the job's."""
    theta = ThetaConfig(learning_rates=[1e-3, 3e-3], batch_tokens=[512], seeds=2)
    sets = theta.sets(TrainConfig(weight_decay=0.1, learning_rate=1.0), 28)
    assert [(train.learning_rate, seed) for train, seed in sets] == [(1e-3, 28), (1e-3, 29), (3e-3, 28), (3e-3, 29)]
    assert {(train.batch_tokens, train.weight_decay) for train, _ in sets} == {(512, 0.1)}
    assert ThetaConfig().sets(TrainConfig(), 5) == [(TrainConfig(), 5)]


@pytest.mark.parametrize(
    "settings",
    [
        {"learning_rates": [0.0]},
        {"learning_rates": [1e-3, 1e-3]},
        {"warmup_fractions": [1.5]},
        {"weight_decays": [-1.0]},
        {"batch_tokens": [-8]},
        {"seeds": 0},
    ],
)
def test_impossible_hyper_parameters_are_refused(settings):
    """Rates above 0, fractions up to 1, everything once."""
    with pytest.raises(UserError):
        ThetaConfig(**settings)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"generators": []}, "one or more"),
        ({"generators": ["mixing", "mixing"]}, "each once"),
        ({"generators": ["paraphrase"]}, "word_dropout"),
        ({"generators": ["back_translation"], "there": "a"}, "agora.back"),
        ({"refill_model": "a"}, "leave agora.refill_model out"),
        ({"pool": "unlabelled"}, "a file of texts"),
        ({"unlabelled": "a.txt"}, "pool=unlabelled"),
        ({"pool": "unlabelled", "unlabelled": "a.txt", "points": "mistakes"}, "nothing is known"),
        ({"pool": "unlabelled", "unlabelled": "a.txt", "points": "all", "labels": "parent"}, "nothing is known"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(settings, told):
    """With what is allowed and what to change."""
    with pytest.raises(UserError, match=told):
        AgoraConfig(**settings)


def test_bounds_have_something_between_them():
    """The least is not above the most."""
    with pytest.raises(UserError, match="min_embedding"):
        BoundsConfig(min_embedding=1.0, max_embedding=0.5)


@pytest.mark.parametrize(
    ("pool", "max_rounds", "contaminates"),
    [("development", 2, True), ("development", 1, False), ("training", 2, False)],
)
def test_only_the_development_set_leaks(pool, max_rounds, contaminates):
    """Scores on it flatter when its points are learned from; one round adds nothing."""
    assert AgoraConfig(pool=pool, max_rounds=max_rounds).contaminates is contaminates
