"""Which settings decide a night, and which are useless beside others."""

import pytest

from pipeline.config.errors import UserError
from pipeline.config.ignored import say_ignored
from pipeline.config.jobs.retrain import RetrainJob
from pipeline.config.load import load_config
from pipeline.serving import probe
from pipeline.stages.retrain.precheck import check_night
from pipeline.stages.retrain.settings import ignored, settings_key


def config(*words):
    return load_config(RetrainJob, ["cluster=process", *words])


@pytest.mark.parametrize(
    ("words", "decides"),
    [
        (["gates.margin=1"], True),
        (["data_checks.max_empty=0.5"], True),
        (["student.learning_rate=0.5"], True),
        (["retrain.held_out=0.2"], True),
        (["seed=3"], True),
        (["retrain.force=true"], False),
        (["retrain.notify_command=[x]"], False),
        (["retrain.probe_examples=0"], False),
        (["retrain.keep_nights=1"], False),
        (["retrain.probe_environment=virtualenv"], False),
        (["storage.path=/elsewhere"], False),
        (["cluster.num_workers=7"], False),
    ],
)
def test_a_night_is_another_one_where_something_that_decides_has_changed(words, decides):
    """Not where it is told elsewhere, or runs elsewhere."""
    assert (settings_key(config(*words)) != settings_key(config())) is decides


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["gates.max_bytes=9", "gates.max_bytes_factor=2"], "because of gates.max_bytes=9: gates.max_bytes_factor=2"),
        (
            ["retrain.timing_examples=0", "retrain.timing_rounds=9"],
            "retrain.timing_examples=0: retrain.timing_rounds=9",
        ),
        (["retrain.probe_examples=0", "retrain.probe_seconds=9"], "retrain.probe_seconds=9"),
        (["retrain.probe_examples=0", "retrain.probe_environment=virtualenv"], "probe_environment=virtualenv"),
        (["retrain.notify_seconds=9"], "neither retrain.notify_command nor retrain.notify_url"),
        (["retrain.rollback=true", "gates.margin=1", "retrain.force=true"], "rollback=true: retrain.force=True"),
        (["retrain.rollback=true", "retrain.to=3", "retrain.probe_seconds=9"], None),
        (["retrain.notify_command=[x]", "retrain.notify_seconds=9"], None),
    ],
)
def test_what_does_nothing_is_told(words, said, caplog):
    """By name, with what makes it useless."""
    one = config("task=docstrings", *words)
    say_ignored(one, ignored(one))
    assert (said in caplog.text) if said else "ignored" not in caplog.text


@pytest.mark.parametrize("rollback", ["false", "true"])
def test_a_night_whose_probe_cannot_be_is_refused_before_it_starts(monkeypatch, tmp_path, rollback):
    """Also the way back, which probes, too; not where nothing is probed."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(probe.sys, "executable", str(tmp_path / "python"))
    words = ["task=docstrings", f"storage.path={tmp_path}", "retrain.probe_environment=virtualenv"]
    words.append(f"retrain.rollback={rollback}")
    with pytest.raises(UserError, match="without pyenv and bash"):
        check_night(config(*words))
    check_night(config(*words, "retrain.probe_examples=0"))
