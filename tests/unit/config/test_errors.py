"""Several mistakes at once: each is told once, and none that only follows from another."""

import json
import pickle
import sys

import pytest

from pipeline.config.errors import JoinedUserError, UserError
from pipeline.config.job import job_of
from pipeline.config.load import load_config
from pipeline.stages.command import main


def mistakes(*words, job="dq_sweep"):
    """What is wrong with the words, mistake by mistake."""
    with pytest.raises(UserError) as caught:
        load_config(job_of(job), list(words))
    return [error.given for error in caught.value.errors]


INDEPENDENT = {  # a word -> how its mistake begins
    "studnet.epochs=1": "unknown key 'studnet'",
    "teacher.epoch=1": "unknown key 'teacher.epoch'",
    "seed=abc": "seed='abc'",
    "teacher.dropout=3": "teacher.dropout=3.0",
    "cluster=gpu9": "unknown cluster 'gpu9'",
    "recipe.schedule={": "argument 'recipe.schedule={'",
    "task.labels=[NO,SE]": "task.labels[0]=NO",
    "storage.path=${nothing}": "storage.path=${nothing}",
    "sweep.stopping.fractions=[2]": "sweep.stopping.fractions",
    "sweep.schemes=[8-8,2-2-8]": "scheme '8-8'",
    "sweep.students=[{schem: 8-8-8}]": "unknown key 'sweep.students[0].schem'",
    "sweep.depths=[6-3,6.3]": "depth '6.3'",
    "sweep.cohort_size=0": "sweep.cohort_size=0",
    "tracking.register=/": "tracking.register",
    "evaluation": "argument 'evaluation'",
}


def test_all_mistakes_are_told_at_once():
    """Unknown keys and members, types, bounds, YAML, interpolations, relations of several sections."""
    found = mistakes(*INDEPENDENT)
    assert len(found) == len(INDEPENDENT)
    assert all(sum(given.startswith(start) for given in found) == 1 for start in INDEPENDENT.values())


@pytest.mark.parametrize("word", INDEPENDENT)
def test_each_of_them_is_told_alone(word):
    """As one mistake, not as a list of one."""
    [given] = mistakes(word)
    assert given.startswith(INDEPENDENT[word])


@pytest.mark.parametrize(
    ("words", "given"),
    [
        (["task.metric=acuracy", "task.objective=classification"], "task.metric=acuracy"),
        (["task.metrc=accuracy", "task.objective=classification"], "unknown key 'task.metrc'"),
        (["task=fever", "task.metric=accuracy"], "unknown task 'fever'"),
        (["experiment=fever", "task.metric=accuracy", "task.labels=[a,b]"], "unknown experiment 'fever'"),
        (["recipe=dqbrt", "recipe.dqbart.as_released=true"], "unknown recipe 'dqbrt'"),
        (["recipe.distillation.reduction=x", "sweep.recipes=[best,dqbart]"], "recipe.distillation.reduction=x"),
        (["sweep.students=[{depth: x},{depth: x}]"], "depth 'x'"),
        (["model.name=${nothing}", "model.tokenizer=${model.name}"], "model.name=${nothing}"),
    ],
)
def test_what_follows_from_a_mistake_is_not_told(words, given):
    """A relation that reads a setting whose value is unknown is no mistake of its own."""
    [found] = mistakes(*words)
    assert found.startswith(given)


def test_relations_of_other_settings_are_told_beside_a_mistake():
    """One bad setting does not hide what is wrong with the others of its section."""
    words = ["task.max_source_tokens=x", "task.metric=accuracy", "task.labels=[a]"]
    assert [given.split("=")[0] for given in mistakes(*words)] == [
        "task.max_source_tokens",
        "task.objective",
        "task.labels",
        "task.labels with task.objective",
    ]


def test_a_value_that_is_overwritten_is_still_read():
    """A mistake in a word is told, whatever a later word says."""
    assert mistakes("seed=010", "seed=1") == ["seed=010, which YAML reads as 8"]


def test_several_mistakes_are_a_numbered_list_and_one_document(monkeypatch, capsys):
    """Words of the command line and settings alike; exit code 2; nothing runs."""
    monkeypatch.setattr(sys, "argv", ["generate", "M", "num_beam=4", "threads=0", "output=x", "a", "b"])
    assert main(job_of("generate"), "A summary.", lambda _: pytest.fail("it ran")) == 2
    out, err = capsys.readouterr()
    lines = err.splitlines()
    assert lines[0] == "generate: 3 mistakes"
    assert [line[:2] for line in lines if line[0].isdigit()] == ["1.", "2.", "3."]
    assert "\n\n" not in err
    document = json.loads(out)
    assert document["status"] == "mistake"
    assert all(part in document["error"] for part in ("num_beam=4", "'b' is one word too many", "generate.threads=0"))


def test_joined_mistakes_survive_pickling():
    """Ray carries them from a worker to the driver, each with its three parts."""
    joined = JoinedUserError([UserError("a=1", "2", "write 2"), UserError("b=1", "3", "write 3")])
    again = pickle.loads(pickle.dumps(joined))
    assert (
        str(again)
        == str(joined)
        == "2 mistakes: 1. a=1. Allowed: 2. Change: write 2. 2. b=1. Allowed: 3. Change: write 3."
    )
    assert [error.change for error in again.errors] == ["write 2", "write 3"]
