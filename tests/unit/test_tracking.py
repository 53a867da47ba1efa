"""Runs in MLflow: nothing is lost while the server is away, statuses are true, odd values are taken."""

import json
import math
from pathlib import Path

import pytest
from mlflow.exceptions import MlflowException

from pipeline.tracking import run as run_module
from pipeline.tracking.tracker import RunSpec, Tracker, local_tracking_uri


@pytest.fixture
def tracker(tmp_path):
    return Tracker(local_tracking_uri(tmp_path), "test", tmp_path / "artifacts")


def spec(key="k", **options):
    return RunSpec(
        name="a run", key=key, kind="student", params={"a": {"b": 1}, "none": None}, config="x: 1", **options
    )


def test_a_server_that_is_away_costs_nothing_and_loses_nothing(tracker, monkeypatch):
    """Metrics and tags written meanwhile arrive in order once it answers; the caller never waits for it."""
    monkeypatch.setattr(run_module, "FLUSH_SECONDS", 0.01)
    monkeypatch.setattr(run_module.time, "sleep", lambda seconds: None)
    real, refused = tracker.client.log_batch, []

    def away(*arguments, **options):
        if len(refused) < 5:
            refused.append(1)
            raise MlflowException("server is away", error_code=1)
        return real(*arguments, **options)

    with tracker.start(spec()) as run:
        monkeypatch.setattr(tracker.client, "log_batch", away)
        for step in range(50):
            run.metrics({"loss": float(step)}, step)
        run.tags({"late": "tag"})
    assert len(refused) == 5
    history = tracker.client.get_metric_history(run.run_id, "loss")
    assert [(m.step, m.value) for m in history] == [(step, float(step)) for step in range(50)]
    assert tracker.client.get_run(run.run_id).data.tags["late"] == "tag"


@pytest.mark.parametrize(
    ("error", "status"), [(None, "FINISHED"), (ValueError("x"), "FAILED"), (KeyboardInterrupt(), "KILLED")]
)
def test_the_status_is_true(tracker, error, status):
    """Finished, failed with its reason, or killed."""
    run = tracker.start(spec())
    try:
        with run:
            if error is not None:
                raise error
    except (ValueError, KeyboardInterrupt):
        pass
    found = tracker.find("student", "k")
    assert found.status == status
    assert ("dq.failure" in found.tags) == (error is not None)


def test_values_that_stores_refuse_become_tags(tracker):
    """NaN and infinity do not stop a run."""
    with tracker.start(spec()) as run:
        run.metrics({"loss": math.nan, "norm": math.inf, "fine": 1.0}, 3)
    found = tracker.find("student", "k")
    assert found.metrics == {"fine": 1.0}
    assert found.tags["dq.non_finite.loss"] == "nan at step 3"


def test_a_run_of_the_same_key_is_continued(tracker):
    """No duplicate, no refused parameter, no reason of the earlier failure."""
    with tracker.start(spec()) as first:
        first.failed("broke")
    with tracker.start(spec()) as second:
        pass
    assert second.run_id == first.run_id
    found = tracker.find("student", "k")
    assert found.finished
    assert "dq.failure" not in found.tags
    assert found.params == {"a.b": "1"}


def test_a_table_written_again_replaces_the_first(tracker):
    """A resumed run evaluates once more; rows do not double."""
    for prediction in ("first", "second"):
        with tracker.start(spec()) as run:
            run.table({"source": ["a", "b"], "prediction": [prediction, prediction]}, "predictions.json")
    table = json.loads(Path(tracker.client.download_artifacts(run.run_id, "predictions.json")).read_text())
    assert table == {"columns": ["source", "prediction"], "data": [["a", "second"], ["b", "second"]]}


def test_long_parameters_are_cut(tracker):
    """MLflow bounds their length."""
    with tracker.start(RunSpec(name="n", key="long", kind="student", params={"p": "x" * 10_000})):
        pass
    assert len(tracker.find("student", "long").params["p"]) == 6000


def test_children_that_were_killed_are_marked(tracker):
    """A worker that died cannot say so itself."""
    with tracker.start(spec("parent")) as parent:
        tracker.start(spec("child", parent_run_id=parent.run_id))
        tracker.start(spec("child", parent_run_id=parent.run_id))  # the same run again
        child = tracker.start(spec("child", parent_run_id=parent.run_id))
        tracker.fail_if_running("student", "child", "worker 0 failed")
    (found,) = tracker.children(parent.run_id)
    assert (found.run_id, found.status, found.tags["dq.failure"]) == (child.run_id, "FAILED", "worker 0 failed")
