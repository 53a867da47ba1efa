"""Where a job is done: beside Ray in a process whose loss is told, in MLflow too."""

import os
from dataclasses import replace
from types import SimpleNamespace

import pytest

from pipeline.config.jobs.dq_sweep import SweepJob
from pipeline.config.load import load_config
from pipeline.stages.on_cluster import on_cluster
from pipeline.stages.runs import open_tracker
from pipeline.tracking.tracker import RunSpec


@pytest.fixture
def config(tmp_path, monkeypatch):
    """Of a job of this test's own submission."""
    monkeypatch.setenv("DQ_SUBMISSION", f"of {os.getpid()}")
    return load_config(SweepJob, [f"storage.path={tmp_path}"])


def test_a_job_without_ray_is_done_in_this_process(config):
    """Its debugger is here."""
    config = replace(config, cluster=replace(config.cluster, launcher="process"))
    assert on_cluster(config, os.getpid, pytest.fail) == os.getpid()


def test_a_job_on_ray_has_a_process_of_its_own(config):
    """And its code comes back."""
    assert on_cluster(config, lambda: 3, pytest.fail) == 3
    assert on_cluster(config, os.getpid, pytest.fail) != os.getpid()


def test_runs_of_a_lost_driver_are_marked(config):
    """They say why, and the error says it too."""
    tracker = open_tracker(config)
    run_id = tracker.start(RunSpec(name="a student", key="k", kind="student")).run_id
    told = []
    assert on_cluster(config, lambda: os._exit(1), lambda lost: told.append(str(lost)) or 75) == 75
    found = tracker.by_id(run_id)
    assert "Ray's client" in told[0]
    assert found.status == "FAILED" and "without a word" in found.tags["dq.failure"]


def test_an_mlflow_that_is_lost_too_hides_nothing(config, monkeypatch, caplog):
    """The loss is what is told; that runs could not be marked is a warning."""
    unreachable = SimpleNamespace(uri="http://127.0.0.1:1", experiment="x")
    monkeypatch.setattr("pipeline.stages.on_cluster.LOST_SECONDS", 0.0)
    assert on_cluster(replace(config, tracking=unreachable), lambda: os._exit(1), lambda _: 75) == 75
    assert "may still be shown as running" in caplog.text
