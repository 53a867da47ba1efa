"""The job `compare`: two runs, two sweeps, and what is neither."""

import itertools
import json

import pytest

from pipeline.config.jobs.dq_sweep import SweepJob
from pipeline.config.load import load_config
from pipeline.evaluation.metrics import score_texts
from pipeline.stages.compare import job as compare_job
from pipeline.stages.evaluate import references_of
from pipeline.stages.sweep.job import run
from pipeline.stages.sweep.student import score
from pipeline.tracking.store import local_tracking_uri
from pipeline.tracking.tracker import RunSpec, Tracker


@pytest.fixture(scope="module")
def storage(tmp_path_factory):
    return tmp_path_factory.mktemp("compared")


@pytest.fixture(scope="module")
def sweep(small, storage):
    """Run a small sweep in one storage folder: `sweep(students, *arguments) -> document`.

    Its students say what is expected, but for one example more from student to student.
    """
    num_wrong = itertools.count(3)

    def speak(model, tokenizer, examples, config, labels):
        wrong, references = next(num_wrong), references_of(examples)
        said = ["nothing" if index < wrong else texts[0] for index, texts in enumerate(references)]
        return score_texts("rouge", said, references), said

    def call(students, *arguments):
        words = [*small, f"sweep.students={students}", f"storage.path={storage}"]
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(score, "evaluate_examples", speak)
            return run(load_config(SweepJob, [*words, *arguments]))

    return call


@pytest.fixture(scope="module")
def sweeps(sweep):
    """Two seeds of two students, then the first of them without, with another learning rate and other company."""
    first = sweep("[{scheme: 2-2-8, depth: 1-1}, {scheme: 8-8-8, depth: 1-1}]", "sweep.seeds=[1,2]")
    others = "{scheme: 4-4-8, depth: 1-1}, {scheme: 8-8-8, depth: 2-1, learning_rate: 1e30}"
    second = sweep(f"[{{scheme: 2-2-8, depth: 1-1}}, {others}]", "student.learning_rate=1e-3")
    assert [first["status"], second["status"]] == ["finished", "failed"]
    return first, second


@pytest.fixture
def compare(job, storage):
    """Compare two runs of that folder: `compare(first, second) -> (exit code, document, what a person reads)`."""

    def call(*names, folder=storage):
        code, out, err = job("compare", compare_job.run, *names, f"storage.path={folder}", base=False)
        return code, json.loads(out.splitlines()[-1]), err

    return call


def test_sweeps_are_compared_student_by_student(sweeps, compare):
    """A student with seeds meets the one without; means, teachers, lonely and failed students have their places."""
    first, second = sweeps
    code, document, err = compare(first["run_id"], second["run_id"])
    assert code == 0, err
    metrics = {student["run_id"]: student["metrics"] for sweep in sweeps for student in sweep["students"]}
    assert [row["name"] for row in document["students"]] == ["2-2-8 1-1 seed=1", "2-2-8 1-1 seed=2"]
    for row in document["students"]:
        mine, theirs = (metrics[run_id] for run_id in row["runs"])
        headline = row["headline"]
        assert [headline["first"], headline["second"]] == pytest.approx(
            [mine["test_rougeLsum"], theirs["test_rougeLsum"]]
        )
        assert headline["low"] <= headline["second"] - headline["first"] <= headline["high"]
        assert row["measures"][0]["speed_ratio"] == mine["speed_ratio"]
    [mean] = document["means"]
    assert (mean["group"], mean["num_seeds"]) == ("2-2-8 1-1", 2)
    firsts = [row["headline"]["first"] for row in document["students"]]
    assert firsts[0] > firsts[1] > document["students"][0]["headline"]["second"] > 0
    assert mean["first"] == pytest.approx(sum(firsts) / 2)
    teachers = document["teachers"]
    assert teachers["runs"] == [first["teacher"]["run_id"]] * 2
    assert teachers["headline"]["p_value"] == 1.0
    assert teachers["measures"][0]["size_bytes"] == first["teacher"]["size_bytes"]
    assert [row["name"] for row in document["only_first"]] == ["8-8-8 1-1 seed=1", "8-8-8 1-1 seed=2"]
    assert [row["name"] for row in document["only_second"]] == ["4-4-8 1-1"]
    [failed] = document["left_out"]
    assert failed["name"] == "8-8-8 2-1 lr=1e+30" and failed["reason"].startswith("FAILED: ")
    assert document["settings"] == {"student.learning_rate": ["0.0003", "0.001"]}
    for part in ("2-2-8 1-1, mean of 2 seeds", "4-4-8 1-1 (only B)", "left out: 8-8-8 2-1", "student.learning_rate"):
        assert part in err
    _, swapped, _ = compare(second["run_id"], first["run_id"])
    assert [row["runs"][::-1] for row in swapped["students"]] == [row["runs"] for row in document["students"]]


def test_runs_are_compared_with_their_settings_sizes_and_times(sweeps, compare):
    """A teacher's size and times are those that its student's run holds; equal settings are not listed."""
    first, second = sweeps
    mine, theirs = first["students"][0], second["students"][1]
    code, document, err = compare(mine["run_id"], theirs["run_id"])
    assert code == 0, err
    settings = document["settings"]
    assert settings["scheme"] == ["2-2-8", "4-4-8"] and settings["seed"] == ["1", "28"]
    assert set(settings) == {"scheme", "seed", "student.learning_rate"}
    assert document["measures"][1]["size_ratio"] == theirs["metrics"]["size_ratio"]
    assert (document["machines"], "MiB on disk" in err) == ("", True)
    code, document, err = compare(first["teacher"]["run_id"], mine["run_id"])
    assert code == 0, err
    teacher, _ = document["measures"]
    assert (teacher["size_bytes"], teacher["speed_ratio"]) == (first["teacher"]["size_bytes"], 1.0)
    assert teacher["latency_p50_ms"] == mine["metrics"]["teacher_latency_p50_ms"]
    assert {"scheme", "depth"} <= set(document["settings"])
    assert not [name for name in document["settings"] if name.startswith(("student.", "storage."))]
    [lsum] = [result for result in document["results"] if result["name"] == "rougeLsum"]
    assert lsum["second"] == pytest.approx(mine["metrics"]["test_rougeLsum"])
    assert compare(mine["run_id"], mine["run_id"])[2].endswith("no setting differs\n")


def test_what_cannot_be_compared_is_refused(sweeps, sweep, compare, storage, tmp_path):
    """One run, unknown runs, several of one name, no predictions, other data, a sweep beside a run."""
    first, fewer = sweeps[0], sweep("[{scheme: 4-4-8, depth: 1-1}]", "task.corpus.max_test_examples=10")
    one, other = (document["students"][0]["run_id"] for document in (first, fewer))
    tracker = Tracker(local_tracking_uri(storage), "dq-bart", storage / "mlartifacts")
    for name, kind in (("silent", "student"), ("childless", "sweep")):
        with tracker.start(RunSpec(name=name, key=name, kind=kind)):
            pass
    running = tracker.start(RunSpec(name="running", key="running", kind="student"))
    for names, message in (
        ([one], "fewer than two runs"),
        ([one, "nobody"], "no run of the id or name 'nobody'"),
        ([one, "4-4-8 1-1"], "2 runs of the id or name '4-4-8 1-1'"),
        ([one, other], "the references of the two runs differ"),
        ([first["run_id"], fewer["run_id"]], "the references of the two runs differ"),
        ([first["run_id"], one], "Allowed: two sweeps, or two runs of teachers or students"),
        ([first["run_id"], "childless"], "without a finished student in common"),
        (["silent", "silent"], "has no predictions.jsonl"),
        ([one, running.run_id], "is RUNNING"),
        ([one, "silent"], "differ in split: test and none"),
        ([one, other, one], "is one word too many"),
        ([one, "8-8-8 1-1 seed=3"], "no run of the id or name '8-8-8 1-1 seed=3'"),
    ):
        code, _, err = compare(*names)
        assert (code, message in " ".join(err.split())) == (2, True), err
    code, _, err = compare(one, other, folder=tmp_path / "nowhere")
    assert (code, "no runs at" in " ".join(err.split()), (tmp_path / "nowhere").exists()) == (2, True, False)
