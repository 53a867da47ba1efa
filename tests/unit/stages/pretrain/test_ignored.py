"""Settings of a pre-training that others make useless are told."""

import pytest

from pipeline.config.ignored import say_ignored
from pipeline.config.jobs.bort_pretrain import PretrainJob
from pipeline.config.load import load_config
from pipeline.stages.pretrain.ignored import ignored

LOGITS_OFF = "pretraining={logits: 0, relations: 1}"
CE_OFF = "pretraining.task=0"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["pretraining.temperature=3", LOGITS_OFF], "pretraining.logits=0: pretraining.temperature=3.0"),
        (["pretraining.relation_heads=4"], "pretraining.relations=0: pretraining.relation_heads=4"),
        (
            ["pretraining.start=owner/model", "pretraining.architecture.d_model=64"],
            "pretraining.start, which has its own: pretraining.architecture.d_model=64",
        ),
        (
            ["student.label_smoothing=0.1", CE_OFF, "pretraining.compare=false"],
            "pretraining.task=0: student.label_smoothing=0.1",
        ),
        (["pretraining.temperature=3", "pretraining.relation_heads=4", "pretraining.relations=1"], None),
        (["student.label_smoothing=0.1", CE_OFF], None),  # of the model that learns alone
        (["experiment=pretrain_quickstart"], None),
    ],
)
def test_what_does_nothing_is_told_and_nothing_else(caplog, words, told):
    """With what makes it useless."""
    config = load_config(PretrainJob, words)
    say_ignored(config, ignored(config))
    expected = [] if told is None else [f"ignored, because of {told}"]
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == expected
