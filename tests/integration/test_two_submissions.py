"""The same sweep submitted twice at the same time: one trains, no run is made twice, a teacher is shared."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
from mlflow import MlflowClient
from repository import ROOT
from small_task import LENGTHS, SIZES

from pipeline.stages.sweep.job import run
from pipeline.stages.sweep.train import run_cohorts

STUDENTS = "sweep.students=[{scheme: 8-8-8, depth: 1-1}, {scheme: 2-2-8, depth: 1-1}]"


def runs_of(storage):
    client = MlflowClient(tracking_uri=f"sqlite:///{storage / 'mlflow.db'}")
    runs = client.search_runs([client.get_experiment_by_name("dq-bart").experiment_id])
    return sorted((found.data.tags["dq.kind"], found.info.status) for found in runs)


def test_a_second_submission_is_refused_while_the_first_one_trains(job, tmp_path, monkeypatch):
    """With exit code 2 and one paragraph; the first one does not notice, and afterwards the second is welcome."""
    real, refused = run_cohorts.run_workers, []

    def twice(*arguments, **options):
        refused.append(job("dq_sweep", run, STUDENTS, f"storage.path={tmp_path}"))
        real(*arguments, **options)

    with monkeypatch.context() as patched:
        patched.setattr(run_cohorts, "run_workers", twice)
        code, out, _ = job("dq_sweep", run, STUDENTS, f"storage.path={tmp_path}")
    assert code == 0
    ((code, answer, err),) = refused
    sweep = json.loads(out.splitlines()[-1])["sweep"]
    assert (code, json.loads(answer.splitlines()[-1])["status"]) == (2, "mistake")
    assert f"sweep {sweep} is being trained by" in " ".join(err.split())
    assert f":{os.getpid()} since" in " ".join(err.split())
    assert job("dq_sweep", run, STUDENTS, f"storage.path={tmp_path}")[0] == 0
    assert runs_of(tmp_path) == [
        ("student", "FINISHED"),
        ("student", "FINISHED"),
        ("sweep", "FINISHED"),
        ("teacher", "FINISHED"),
    ]


@pytest.mark.parametrize("same", [True, False], ids=["one sweep", "two sweeps of one teacher"])
def test_two_processes_make_one_set_of_runs(corpus, tmp_path, same):
    """Started together: the teacher is trained once; of one sweep one is refused, unless it came too late for that."""
    students = "sweep.students=[{scheme: 8-8-8, depth: 1-1}]"
    base = [sys.executable, "jobs/dq_sweep.py", corpus, *LENGTHS, *SIZES, "cluster=process", students]
    processes = [
        subprocess.Popen(
            [*base, f"storage.path={tmp_path}", *([] if same else [f"recipe.distillation.task={weight}"])],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for weight in (0.5, 1.5)
    ]
    with ThreadPoolExecutor() as readers, ExitStack() as ends:  # both at once: a full pipe would hold up its process
        for process in processes:
            ends.callback(process.kill)  # neither outlives the other's timeout
        answers = list(readers.map(lambda process: process.communicate(timeout=400), processes))
    codes = sorted(process.returncode for process in processes)
    said = "".join(err for _, err in answers)
    assert codes in ([[0, 2], [0, 0]] if same else [[0, 0]]), said
    assert ("is being trained by" in " ".join(said.split())) == (codes == [0, 2])
    num_sweeps = 1 if same else 2
    kinds = ["student"] * num_sweeps + ["sweep"] * num_sweeps + ["teacher"]
    assert runs_of(tmp_path) == [(kind, "FINISHED") for kind in kinds]
