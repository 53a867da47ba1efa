"""Runs beside each other: which student is which, which settings differ, which times can be compared."""

import pytest

from pipeline.config.errors import UserError
from pipeline.stages.compare.match_students import match_students
from pipeline.stages.compare.predictions import differences_in_data
from pipeline.stages.compare.settings_and_cost import measure_lines, other_machine, setting_differences, setting_lines
from pipeline.tracking.tracker import FoundRun


def found(name="x", group="", status="FINISHED", metrics=None, params=None, **tags):
    dotted = {key.replace("_", ".", 1): value for key, value in tags.items()}
    if group:
        dotted["dq.group"] = f"{group}#0"
    return FoundRun(
        run_id=f"id of {name}", name=name, status=status, metrics=metrics or {}, params=params or {}, tags=dotted
    )


def seeded(*seeds, group="a"):
    return [found(group if seed is None else f"{group} seed={seed}", group) for seed in seeds]


@pytest.mark.parametrize(
    ("first", "second", "pairs", "only_first", "only_second"),
    [
        ([None], [None], ["a"], [], []),
        ([2, 1], [1, 2, 10], ["a seed=1", "a seed=2"], [], ["a seed=10"]),
        ([None], [10, 2], ["a seed=2", "a seed=10"], [], []),
        ([1], [None], ["a seed=1"], [], []),
        ([1], [2], [], ["a seed=1"], ["a seed=2"]),
        ([None, 1], [2], [], ["a", "a seed=1"], ["a seed=2"]),
        ([None, 1], [None], ["a"], ["a seed=1"], []),
        ([], [1], [], [], ["a seed=1"]),
    ],
)
def test_students_are_matched_by_name_and_a_seed_only_where_both_have_one(
    first, second, pairs, only_first, only_second
):
    """Either way round."""
    matched = match_students(seeded(*first), seeded(*second))
    assert [pair.name for pair in matched.pairs] == pairs
    assert [run.name for run in matched.only_first] == only_first
    assert [run.name for run in matched.only_second] == only_second


def test_students_that_are_not_finished_and_older_ones_of_a_name_are_left_out():
    """With the reason; a run of before groups is its own."""
    failed = found("b", status="FAILED", dq_failure="non-finite loss")
    matched = match_students([found("a"), found("a"), failed], [found("a"), found("b", status="RUNNING")])
    assert [pair.name for pair in matched.pairs] == ["a"]
    reasons = ["an older student of the same name", "FAILED: non-finite loss", "RUNNING"]
    assert [run.reason for run in matched.left_out] == reasons
    assert not matched.only_first


def test_settings_that_differ_are_listed_without_places():
    """A model's folder counts by its name; a student's settings do not count beside a teacher."""
    common = {"seed": "1", "storage.path": "/a", "model.pretrained": "/a/models/0f"}
    first = found(params=common | {"student.epochs": "3", "task.corpus.files.test": "/a/x"}, dq_kind="student")
    second = found(params={**common, "storage.path": "/b", "model.pretrained": "/b/models/0f"}, dq_kind="student")
    assert setting_differences(first, second) == {"student.epochs": ("3", None)}
    other = found(params={**common, "model.pretrained": "/b/models/1f", "seed": "2"}, dq_kind="teacher")
    assert setting_differences(first, other) == {"model.pretrained": ("0f", "1f"), "seed": ("1", "2")}


def test_long_values_are_cut_to_where_they_differ():
    """A few equal characters stay before it; short ones and missing ones stay as they are."""
    long = "x" * 100
    lines = setting_lines({"a": ("1", None), "b": (f"{long}1{long}", f"{long}2"), "c": ("", f"2\n{long}")}, ("A", "B"))
    assert lines[1] == ["a", "1", "-"]
    assert lines[2] == ["b", f"…{'x' * 10}1{'x' * 29}…", f"…{'x' * 10}2"]
    assert lines[3] == ["c", "''", f"2 {'x' * 38}…"]


def test_sizes_stand_beside_each_other_with_their_ratio():
    """What neither has is left out; what one lacks has no ratio."""
    lines = measure_lines({"size_bytes": 2.0**21, "speed_ratio": 2.0}, {"size_bytes": 2.0**20}, ("A", "B"))
    assert lines[1:] == [["MiB on disk", "2.000", "1.000", "0.500"], ["faster", "2.00x", "-", "-"]]


def test_times_of_different_machines_are_told_apart():
    """By processor, cores and threads; runs without times need no warning, nor a teacher beside its student."""
    timed = {"latency_p50_ms": 1.0, "latency_threads": 2.0}
    here = found("here", metrics=timed, dq_host_cpus="2", dq_host_cpu="x86")
    there = found("there", metrics={**timed, "latency_threads": 4.0}, dq_host_cpus="8", dq_host_cpu="x86")
    assert other_machine(here, here) == ""
    assert "(cores 2 and 8, threads 2 and 4)" in other_machine(here, there)
    assert other_machine(here, found("untimed", dq_host_cpus="8")) == ""
    student = found("student", metrics=timed, dq_host_cpus="2", dq_teacher_run="id of teacher")
    assert other_machine(found("teacher", dq_host_cpus="8"), student) == ""


def test_runs_that_were_measured_in_different_ways_are_refused():
    """By another metric, other words or another release; other data with the same references is a note."""
    tags = {"dq.split": "test", "dq.metric": "rouge", "dq.metric_signature": "words:unicode", "dq.data": "a"}

    def run(**changes):
        return FoundRun(run_id="r", name="n", status="FINISHED", metrics={}, params={}, tags=tags | changes)

    assert differences_in_data(run(), run(), "A and B") == []
    [note] = differences_in_data(run(), run(**{"dq.data": "b"}), "A and B")
    assert "A and B differ in data" in note
    with pytest.raises(UserError, match="A and B differ in metric signature: words:unicode and words:a-z0-9"):
        differences_in_data(run(), run(**{"dq.metric_signature": "words:a-z0-9"}), "A and B")
