"""Settings of Agora that others make useless are told; those that do something are not."""

import pytest

from pipeline.config.job import settings_of
from pipeline.config.jobs.agora_finetune import AgoraJob
from pipeline.config.load import load_config
from pipeline.stages.agora.ignored import ignored, say_useless

LABELS = ["task=classification", "model=tiny_encoder", "agora.candidate={scheme: 8-8-8, depth: '1'}"]
TEXTS = ["task=docstrings", "agora.candidate={scheme: 8-8-8, depth: 3-1}"]
REPEAT = "agora.generators=[repeat]"
RATE = "agora.theta={learning_rates: [1e-3, 3e-3]}"
ONE_SET = "agora.theta={batch_tokens: [512]}"
START = [*TEXTS, "agora.start=/a/small/model"]


def told(caplog, words):
    """What is warned of."""
    say_useless(load_config(AgoraJob, words))
    return [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]


@pytest.mark.parametrize(
    ("words", "name", "why"),
    [
        ([*LABELS, "agora.worst=0.5", "agora.points=mistakes"], "agora.worst=0.5", "task.objective=classification"),
        ([*TEXTS, "agora.worst=0.5", "agora.points=random"], "agora.worst=0.5", "agora.points=random"),
        ([*TEXTS, "agora.max_points=7", "agora.points=all"], "agora.max_points=7", "agora.points=all"),
        ([*TEXTS, "agora.num_per_point=3", REPEAT], "agora.num_per_point=3", REPEAT),
        ([*TEXTS, "agora.rate=0.3", REPEAT], "agora.rate=0.3", REPEAT),
        ([*TEXTS, "agora.bounds.max_edit=0.7", REPEAT], "agora.bounds.max_edit=0.7", REPEAT),
        ([*TEXTS, "agora.rate=0.3", "agora.generators=[mixing]"], "agora.rate=0.3", "agora.generators=[mixing]"),
        (
            [*TEXTS, "agora.generators=[back_translation]", "agora.there=a", "agora.back=b", "agora.num_per_point=3"],
            "agora.num_per_point=3",
            "one text of a point",
        ),
        ([*TEXTS, "agora.max_rounds=3", "agora.patience=2"], "agora.patience=2", "agora.max_rounds=3"),
        ([*TEXTS, "agora.max_rounds=1", "agora.pruning=halving"], "agora.pruning=halving", "agora.max_rounds=1"),
        ([*TEXTS, "agora.max_rounds=1", "agora.bounds.max_edit=0.7"], "agora.bounds.max_edit=0.7", "max_rounds=1"),
        ([*TEXTS, "student.learning_rate=1e-2", RATE], "student.learning_rate=0.01", "agora.theta.learning_rates"),
        ([*TEXTS, "student.batch_tokens=99", ONE_SET], "student.batch_tokens=99", "agora.theta.batch_tokens"),
        (LABELS, "decoder_attention", "has no decoder"),
        (START, "encoder_attention, encoder_hidden", "agora.start: a model of another shape imitates logits alone"),
    ],
)
def test_what_does_nothing_is_told(caplog, words, name, why):
    """With what makes it useless, in one line."""
    (line,) = [line for line in told(caplog, words) if name in line]
    assert why in line and "ignored" in line


@pytest.mark.parametrize(
    "words",
    [
        [*TEXTS, "agora.worst=0.5", "agora.points=disagreement", "agora.max_points=7", "agora.num_per_point=3"],
        [*TEXTS, "agora.rate=0.3", "agora.generators=[mixing, word_swap]", "agora.bounds.max_edit=0.7"],
        [*TEXTS, "agora.max_rounds=4", "agora.patience=2", "agora.pruning=halving", "student.dropout=0.3", RATE],
        [*TEXTS, REPEAT, "agora.max_points=7", "agora.points=random"],
        [*START, "agora.candidate.distil=false"],
        ["experiment=agora_quickstart"],
    ],
)
def test_what_does_something_is_not_told(caplog, words):
    """Defaults under a choice that has no use for them are nobody's mistake."""
    assert told(caplog, words) == []


def test_every_setting_is_there_under_its_name():
    """A rule about a setting that was renamed would never say a word."""
    known = {name for name, _ in settings_of(AgoraJob)}
    for words in ([*LABELS, REPEAT], [*TEXTS, "agora.max_rounds=1", RATE], [*TEXTS, "agora.points=all"]):
        for name in ignored(load_config(AgoraJob, words)):
            assert any(key == name or key.startswith(f"{name}.") for key in known)
