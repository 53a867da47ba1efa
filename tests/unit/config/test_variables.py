"""Variables of the environment in a configuration: what is printed and saved holds none that may be a secret."""

import sys

import pytest

from pipeline.config.errors import UserError
from pipeline.config.jobs.dq_sweep import SweepJob
from pipeline.config.load import load_config
from pipeline.stages.command import main

SECRET = "kan4ri"
WORDS = ["model.pretrained=${oc.env:SECRET}", "task.name=a-${oc.env:SECRET,x}", "seed=${oc.env:SECRET}"]
WORDS += ["sweep.schemes=['${oc.env:SECRET}']", "task.family_prefixes={t5: '${oc.env:SECRET}'}"]
WORDS += ["seed=${oc.decode:${oc.env:SECRET}}", "tracking.experiment=${oc.env:AWS_SECRET_ACCESS_KEY}"]
WORDS += ["tracking={uri: '${task.name}', experiment: x}", "data.root=${oc.env:DQ_NOT_SET,${oc.env:SECRET}}"]


@pytest.mark.parametrize("word", WORDS)
def test_a_variable_that_may_be_a_secret_is_neither_read_nor_printed(word, capsys, monkeypatch):
    """Whatever setting wants it, and whatever it is made of; the message says what can be done."""
    monkeypatch.setenv("SECRET", SECRET)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    extra = ["task.name=${oc.env:SECRET}"] if "task.name}" in word else []
    monkeypatch.setattr(sys, "argv", ["dq_sweep", "--print-config", word, *extra])
    assert main(SweepJob, "a job", lambda config: {"status": "finished"}) == 2
    out, err = capsys.readouterr()
    assert SECRET not in out + err
    assert "would be printed and saved" in " ".join(err.split()) and "if it holds none" in " ".join(err.split())


def test_a_member_of_a_group_is_held_to_it_too(tmp_path, monkeypatch):
    """Files as words."""
    monkeypatch.setenv("SECRET", SECRET)
    (tmp_path / "dq_sweep.yaml").write_text("data: {root: '${oc.env:SECRET}'}\n")
    with pytest.raises(UserError, match="variable SECRET would be printed") as error:
        load_config(SweepJob, [], tmp_path)
    assert SECRET not in str(error.value)


def test_places_are_read_from_the_environment(monkeypatch):
    """Of our own variables, whatever they are called, and of people's folders; defaults stand in."""
    monkeypatch.setenv("HOME", "/home/x")
    monkeypatch.setenv("DQ_MY_DATA", "/d")
    monkeypatch.delenv("DQ_STORAGE", raising=False)
    words = ["data.root=${oc.env:DQ_MY_DATA}/a", "model.pretrained=${oc.env:HOME}/m"]
    config = load_config(SweepJob, [*words, "tracking.experiment=${oc.env:DQ_NONE,other}"])
    assert (config.data.root, config.model.pretrained, config.storage.path) == ("/d/a", "/home/x/m", "runs")
    assert config.tracking.experiment == "other"
    with pytest.raises(UserError, match="'DQ_NONE' not found"):
        load_config(SweepJob, ["task.name=${oc.env:DQ_NONE}"])


@pytest.mark.parametrize("name", ["DQ_TOKEN", "DQ_WEBHOOK_SECRET", "DQ_API_KEY"])
def test_a_variable_of_ours_whose_name_says_secret_is_one(name, monkeypatch):
    """It would be saved with every run like any other; an address may hold it."""
    monkeypatch.setenv(name, "canary")
    with pytest.raises(UserError, match="give it a name that says so"):
        load_config(SweepJob, [f"task.name=a-${{oc.env:{name}}}"])
    assert load_config(SweepJob, [f"tracking.uri=${{oc.env:{name}}}"]).tracking.uri == "canary"
