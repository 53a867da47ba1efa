"""Runs in MLflow: nothing is lost while the server is away, statuses are true, odd values are taken."""

import json
import math
import threading
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
from mlflow.exceptions import MlflowException
from mlflow.store.entities import PagedList

from pipeline.tracking import retry
from pipeline.tracking import run as run_module
from pipeline.tracking.buffer import RunBuffer
from pipeline.tracking.run import MlflowRun
from pipeline.tracking.tracker import RunSpec


@pytest.fixture
def away(tracker):
    """`with away():` MLflow takes nothing, and patience ends at once."""

    def refuse(*arguments, **options):
        raise MlflowException("server is away", error_code=1)

    @contextmanager
    def call():
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(retry, "RETRY_SECONDS", 0.0)
            for name in ("log_batch", "set_tag", "set_terminated", "search_runs"):
                patched.setattr(tracker.client, name, refuse)
            yield

    return call


def spec(key="k", **options):
    return RunSpec(
        name="a run", key=key, kind="student", params={"a": {"b": 1}, "none": None}, config="x: 1", **options
    )


def test_a_server_that_is_away_costs_nothing_and_loses_nothing(tracker, monkeypatch):
    """Metrics and tags written meanwhile arrive in order once it answers; the caller never waits for it."""
    monkeypatch.setattr(run_module, "FLUSH_SECONDS", 0.01)
    monkeypatch.setattr(retry.time, "sleep", lambda seconds: None)
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


def test_values_that_are_delivered_twice_are_there_once(tracker, monkeypatch):
    """A process that dies between MLflow's answer and the note of it delivers again, together with what is new."""
    run = tracker.start(spec())
    for step in range(30):
        run.metrics({"loss": float(step), "norm": 0.0}, step)
    with monkeypatch.context() as patched, pytest.raises(ZeroDivisionError):
        patched.setattr(run.buffer, "delivered", lambda batch: 1 / 0)
        run.replay()
    assert tracker.find("student", "k").metrics["loss"] == 29.0
    with run:
        for step in range(30, 50):
            run.metrics({"loss": float(step), "norm": 0.0}, step)
    for key in ("loss", "norm"):
        assert [m.step for m in tracker.client.get_metric_history(run.run_id, key)] == list(range(50))


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


def test_what_a_server_does_not_take_is_delivered_by_the_next_start(tracker, away, tmp_path, capsys):
    """The job says where it lies; the next one delivers it before anything new, but not the old reason of failure."""
    run = tracker.start(spec())
    with pytest.raises(MlflowException, match="away"), away(), run:
        run.metrics({"loss": 1.0}, 1)
        run.failed("broke")
    (left,) = tmp_path.glob("tracking/*.jsonl")
    assert str(left) in capsys.readouterr().err
    with tracker.start(spec()) as again:
        assert again.run_id == run.run_id == left.name.split(".")[0]
        assert tracker.find("student", "k").metrics == {"loss": 1.0}
        again.metrics({"loss": 2.0}, 2)
    assert [m.value for m in tracker.client.get_metric_history(run.run_id, "loss")] == [1.0, 2.0]
    assert not list(tmp_path.glob("tracking/*"))
    found = tracker.find("student", "k")
    assert found.finished
    assert "dq.failure" not in found.tags


def test_processes_that_share_a_run_do_not_share_a_file(tracker):
    """One that is thought dead may write on: its values may be lost, not those of the one that goes on."""
    thought_dead = tracker.start(spec())
    thought_dead.metrics({"loss": 1.0}, 1)
    with tracker.start(spec()) as run:
        run.metrics({"loss": 2.0}, 2)
        with thought_dead:
            thought_dead.metrics({"loss": 3.0}, 3)
    history = tracker.client.get_metric_history(run.run_id, "loss")
    assert [m.step for m in history][:2] == [1, 2]
    assert tracker.find("student", "k").finished


def test_an_error_of_the_block_is_not_hidden_by_an_absent_server(tracker, away):
    """What went wrong first is what the person has to know."""
    run = tracker.start(spec())
    with pytest.raises(ValueError, match="the cause"), away(), run:
        raise ValueError("the cause")


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_does_not_wait_for_a_hanging_server(tracker, monkeypatch, tmp_path, interrupt):
    """All runs of a cohort share a few seconds; what they did not deliver stays."""
    monkeypatch.setattr(retry, "INTERRUPT_SECONDS", 0.2)
    runs, answer = [tracker.start(spec(key)) for key in ("one", "two")], threading.Event()
    with pytest.raises(interrupt) as raised, monkeypatch.context() as patched:
        patched.setattr(tracker.client, "log_batch", lambda *arguments, **options: answer.wait())
        patched.setattr(tracker.client, "search_runs", lambda *arguments, **options: answer.wait())
        try:
            with runs[0], runs[1]:
                raise interrupt
        except BaseException:
            tracker.fail_if_running("student", "one", "interrupted")
            raise
    assert not answer.is_set()
    assert "tracking_deadline" in vars(raised.value)
    assert {path.name.split(".")[0] for path in tmp_path.glob("tracking/*.jsonl")} == {run.run_id for run in runs}
    answer.set()


def test_what_found_no_room_is_counted_on_the_run(tracker, away, tmp_path, capsys):
    """One line on the console and a tag, which the next process adds to."""
    run_id = tracker.start(spec()).run_id
    with MlflowRun(tracker.client, run_id, RunBuffer(tmp_path / "small.jsonl", max_bytes=20_000)) as run, away():
        for step in range(3000):
            run.metrics({"loss": float(step)}, step)
    dropped = run.buffer.dropped
    assert dropped > 2000
    assert capsys.readouterr().err.count(f"{dropped} values of run {run_id} were dropped") == 1
    assert tracker.find("student", "k").tags["dq.dropped_metrics"] == str(dropped)
    assert tracker.start(spec()).buffer.dropped == dropped


def test_a_finished_run_that_could_not_say_so_is_ended(tracker, away):
    """Its process is gone and nothing will start it again."""
    run = tracker.start(spec())
    with pytest.raises(MlflowException), away(), run:
        run.metrics({"loss": 1.0}, 1)
    with away():
        tracker.finish_left(run.run_id)  # still away: nothing happens
    tracker.finish_left(run.run_id)
    tracker.finish_left("of another store")
    found = tracker.find("student", "k")
    assert (found.status, found.metrics) == ("FINISHED", {"loss": 1.0})


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


def test_a_history_is_whole_and_knows_repeated_steps(tracker, monkeypatch):
    """Over several pages, by rising step; what a resumed run computed again counts once, as it was last."""
    monkeypatch.setattr("mlflow.tracking._tracking_service.client.GET_METRIC_HISTORY_MAX_RESULTS", 4)
    with tracker.start(spec()) as run:
        for time, step in enumerate([*range(10), *range(6, 12)]):
            tracker.client.log_metric(run.run_id, "loss", -float(time), timestamp=time + 1, step=step)
    times = [*range(6), *range(10, 16)]
    assert tracker.history(run.run_id, "loss") == [(step, -float(time)) for step, time in enumerate(times)]
    assert tracker.history(run.run_id, "none") == []


def test_long_parameters_and_tags_are_cut(tracker):
    """MLflow bounds their length."""
    with tracker.start(RunSpec(name="n", key="long", kind="student", params={"p": "x" * 10_000})) as run:
        run.tags({"note": "y" * 10_000})
    found = tracker.find("student", "long")
    assert (len(found.params["p"]), len(found.tags["note"])) == (6000, 6000)


def test_thousands_of_runs_are_read_page_by_page(tracker, monkeypatch):
    """A sweep's children are all of them, one per key, the newest, however many a page holds."""
    names = [f"key {number % 1000}" for number in range(1200)]  # the newest first

    def page(experiments, *, filter_string, order_by, max_results, page_token):
        assert order_by == ["attributes.start_time DESC"]
        first = int(page_token or 0)
        runs = [found_run(f"{number}", names[number]) for number in range(len(names))[first : first + max_results]]
        after = first + len(runs)
        return PagedList(runs, str(after) if after < len(names) else None)

    monkeypatch.setattr(tracker.client, "search_runs", page)
    children = tracker.children("parent")
    assert [child.run_id for child in children] == [str(number) for number in range(1000)]


def found_run(run_id, key):
    info = SimpleNamespace(run_id=run_id, run_name=key, status="FINISHED")
    return SimpleNamespace(info=info, data=SimpleNamespace(metrics={}, params={}, tags={"dq.key": key}))


def test_children_that_were_killed_are_marked(tracker):
    """A worker that died cannot say so itself; what it left is delivered."""
    with tracker.start(spec("parent")) as parent:
        tracker.start(spec("child", parent_run_id=parent.run_id))
        tracker.start(spec("child", parent_run_id=parent.run_id))  # the same run again
        child = tracker.start(spec("child", parent_run_id=parent.run_id))
        child.metrics({"loss": 1.0}, 1)
        tracker.fail_if_running("student", "child", "worker 0 failed")
    (found,) = tracker.children(parent.run_id)
    assert (found.run_id, found.status, found.tags["dq.failure"]) == (child.run_id, "FAILED", "worker 0 failed")
    assert found.metrics == {"loss": 1.0}


def test_what_a_lost_submission_left_running_is_marked(tracker, monkeypatch):
    """Every run of it and none of another; those that have ended stay as they are."""
    monkeypatch.setenv("DQ_SUBMISSION", "lost")
    with tracker.start(spec("ended")):
        pass
    left = tracker.start(spec("left"))
    left.metrics({"loss": 1.0}, 1)
    monkeypatch.setenv("DQ_SUBMISSION", "other")
    tracker.start(spec("of another"))
    tracker.fail_submission("lost", "its driver is lost")
    tracker.fail_submission("'; no name", "of nobody")
    states = {run.tags["dq.key"]: run.status for run in tracker._search("")}
    assert states == {"ended": "FINISHED", "left": "FAILED", "of another": "RUNNING"}
    found = tracker.by_id(left.run_id)
    assert (found.tags["dq.failure"], found.metrics) == ("its driver is lost", {"loss": 1.0})
