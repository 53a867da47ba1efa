"""What was deleted in MLflow is said to be deleted, with what restores it, or the job goes on without it."""

import pytest
from click.testing import CliRunner
from mlflow.cli import cli

from pipeline.config.errors import UserError
from pipeline.serving.download import model_of_version
from pipeline.serving.logged_models import DIGEST, LoggedStudent
from pipeline.serving.registry import Candidate, register
from pipeline.tracking.tracker import FoundRun, RunSpec, Tracker


def spec(name="a run", **options):
    return RunSpec(name=name, key=name, kind="student", **options)


def refusal(call):
    with pytest.raises(UserError) as error:
        call()
    return str(error.value)


def restored(message):
    """Does what the message says, as the command line does, in this process: importing MLflow takes seconds."""
    command = message.partition("restore it (")[2].partition(")")[0]
    (name, _, value), *words = command.split()[0].partition("="), *command.split()[1:]
    assert words[0] == "mlflow"
    done = CliRunner().invoke(cli, words[1:], env={name: value})
    assert done.exit_code == 0, done.output


def test_a_deleted_experiment_is_refused_until_it_is_restored(tracker, tmp_path):
    """As the message says how; another name is free."""
    uri = tracker.client.tracking_uri
    tracker.client.delete_experiment(tracker.experiment_id)
    message = refusal(lambda: Tracker(uri, "test", tmp_path))
    assert "the MLflow experiment 'test' is deleted" in message
    assert "or set tracking.experiment to another name" in message
    assert Tracker(uri, "third", tmp_path).experiment_id != tracker.experiment_id
    restored(message)
    assert Tracker(uri, "test", tmp_path).experiment_id == tracker.experiment_id


@pytest.mark.parametrize("deleted", ["run", "experiment"])
def test_what_is_deleted_while_a_job_writes_ends_it_with_a_remedy(tracker, tmp_path, deleted):
    """Where it writes parameters, and at the end; what was measured stays on disk and arrives after it was restored."""
    run = tracker.start(spec())
    with pytest.raises(UserError) as ended, run:
        run.metrics({"loss": 1.0}, 1)
        if deleted == "run":
            tracker.client.delete_run(run.run_id)
        else:
            tracker.client.delete_experiment(tracker.experiment_id)
        assert "is deleted" in refusal(lambda: run.params({"a": 1}))
    message = str(ended.value)
    assert (f"restore --run-id {run.run_id}" in message) == (deleted == "run")
    if deleted == "experiment":
        assert "experiment 'test' is deleted" in refusal(lambda: tracker.start(spec("another")))
    assert list(tmp_path.glob("tracking/*.jsonl"))
    restored(message)
    with tracker.start(spec()) as again:
        assert again.run_id == run.run_id
    assert tracker.find("student", "a run").metrics["loss"] == 1.0


def test_a_deleted_run_is_not_found_by_its_key_and_named_as_deleted_to_people(tracker):
    """A job makes a new one; a person who names it by id or name is told."""
    with tracker.start(spec()) as run:
        pass
    tracker.client.delete_run(run.run_id)
    assert tracker.find("student", "a run") is None
    for name in (run.run_id, "a run"):
        message = refusal(lambda name=name: tracker.one_run(name))
        assert f"run 'a run' ({run.run_id}) is deleted in MLflow" in message
    with tracker.start(spec()) as second:
        assert second.run_id != run.run_id
    assert tracker.one_run("a run").run_id == second.run_id


def test_deleted_parents_and_teachers_stop_nobody(tracker):
    """A child is found and adopted by another parent; a teacher that is gone is none."""
    with tracker.start(spec("parent")) as parent, tracker.start(spec("child", parent_run_id=parent.run_id)) as child:
        pass
    tracker.client.delete_run(parent.run_id)
    with tracker.start(spec("parent")) as second:
        tracker.adopt(tracker.find("student", "child"), second.run_id)
        tracker.fail_if_running("student", "child", "no")
    assert [run.run_id for run in tracker.children(second.run_id)] == [child.run_id]
    empty = {"name": "", "status": "FINISHED", "metrics": {}, "params": {}}
    for run_id, there in ((parent.run_id, False), (second.run_id, True), ("0" * 32, False), ("", False)):
        found = FoundRun(run_id="x", tags={"dq.teacher_run": run_id}, **empty)
        assert (tracker.teacher_of(found) is not None, tracker.is_there(run_id)) == (there, there)


@pytest.fixture
def candidate(tracker):
    """A student with a finished run and a logged model: `candidate(name, headline)`."""
    from mlflow.entities import LoggedModelOutput

    def make(name, headline):
        with tracker.start(spec(name)) as run:
            pass
        client = tracker.client
        model = client.create_logged_model(tracker.experiment_id, name, source_run_id=run.run_id, tags={DIGEST: name})
        client.log_outputs(run.run_id, [LoggedModelOutput(model.model_id, step=0)])
        logged = LoggedStudent(run_id=run.run_id, model_id=model.model_id, location=model.artifact_location)
        return Candidate(model=logged, examples="e", headline=headline, size_bytes=1, tags={"student": name})

    return make


def test_aliases_never_point_at_a_version_whose_model_was_deleted(tracker, candidate):
    """The next best has them; the version itself says what is wrong with it."""
    best = candidate("best", 9.0)
    register(tracker, "name", [best, candidate("good", 8.0)])
    assert model_of_version(tracker, "name", "@best").name == "best"
    tracker.client.delete_logged_model(best.model.model_id)
    assert "the logged model of version 1 of name was deleted" in refusal(
        lambda: model_of_version(tracker, "name", "@best")
    )
    register(tracker, "name", [candidate("poor", 1.0)])
    assert model_of_version(tracker, "name", "@best").name == "good"


def test_versions_and_runs_that_were_deleted_are_named(tracker, candidate):
    """A version that is gone with its alias; a model serves on though its run was deleted."""
    register(tracker, "name", [first := candidate("first", 9.0), candidate("second", 8.0)])
    tracker.client.delete_run(first.model.run_id)
    assert model_of_version(tracker, "name", "@best").name == "first"
    tracker.client.delete_model_version("name", "1")
    assert "no version '1' of name. Allowed: 2" in refusal(lambda: model_of_version(tracker, "name", "1"))
    assert "no alias 'best' of name. Allowed: 2" in refusal(lambda: model_of_version(tracker, "name", "@best"))
    register(tracker, "name", [candidate("third", 1.0)])
    assert model_of_version(tracker, "name", "@best").name == "second"
