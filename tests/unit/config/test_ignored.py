"""Settings that others make useless are told where somebody has set them."""

from pipeline.config.ignored import say_ignored
from pipeline.config.jobs.agora_finetune import AgoraJob
from pipeline.config.load import load_config


def test_only_what_was_set_is_told_and_one_reason_once(caplog):
    """A section stands for all in it; a name stands for no other that begins like it."""
    settings = ["agora.bounds={min_edit: 0.1, min_confidence: 0.5}", "agora.max_rounds=5", "agora.rate=0.3"]
    config = load_config(AgoraJob, settings)
    say_ignored(config, {"agora.bounds": "the first", "agora.rate": "the first", "agora.max": "a second"})
    say_ignored(config, {"agora.worst": "a third", "agora.theta": "a third", "student": "a third"})
    (record,) = caplog.records
    told = "ignored, because of the first: agora.rate=0.3, agora.bounds.min_edit=0.1, agora.bounds.min_confidence=0.5"
    assert (record.levelname, record.getMessage()) == ("WARNING", told)
