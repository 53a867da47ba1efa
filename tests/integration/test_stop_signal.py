"""A scheduler wants its machine back: SIGTERM, an exit code that says so, the same results when submitted again."""

import json
import os
import signal
import subprocess
import sys
import threading

import pytest
from mlflow import MlflowClient
from repository import ROOT

from pipeline.config.job import known_keys
from pipeline.stages.sweep.job import run as run_sweep
from pipeline.stages.teacher.job import run as run_teacher
from pipeline.training.checkpoint import read_progress

STUDENTS = "sweep.students=[{scheme: 8-8-8, depth: 1-1}, {scheme: 2-2-8, depth: 1-1}]"
# What it does, settings that make it long enough to be met in the middle, when the signal comes, where it is saved.
JOBS = {
    "finetune_teacher": (
        run_teacher,
        ["teacher.epochs=20", "teacher.validate_every_epochs=10"],
        "teacher: 1/",
        "teachers/*/checkpoints",
    ),
    "dq_sweep": (
        run_sweep,
        [STUDENTS, "student.epochs=20", "student.max_steps=40"],
        "cohort 1 of 1: 1/40",
        "sweeps/*/checkpoints/*",
    ),
}


def stopped(command, line):
    """(exit code, stdout, stderr) of a process that gets SIGTERM when it has printed a line, and once more at once."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "DQ_LOG_LEVEL": "INFO"}
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    patience = threading.Timer(400, process.kill)
    patience.start()
    said = []
    for text in process.stderr:
        said.append(text)
        if line in text:
            process.send_signal(signal.SIGTERM)
            process.send_signal(signal.SIGTERM)
            break
    said += process.stderr
    out = process.stdout.read()
    code = process.wait()
    patience.cancel()
    return code, out, "".join(said)


def weights(storage):
    """Every tensor file of a teacher's or students' models, by its folder."""
    files = [
        *storage.glob("teachers/*/model/model.safetensors"),
        *storage.glob("sweeps/*/students/*/packed/*.safetensors"),
    ]
    return {str(path.relative_to(storage)): path.read_bytes() for path in files}


def told(document):
    """What a job says of its results; times and run ids are its own."""
    teacher = document.get("teacher", document)
    return teacher["scores"], [
        {name: value for name, value in student["metrics"].items() if name.endswith(("loss", "score", "size_bytes"))}
        for student in document.get("students", [])
    ]


@pytest.mark.parametrize("name", JOBS)
def test_a_job_that_is_asked_to_stop_goes_on_with_the_same_results(job, small, tmp_path, name):
    """It saves its last step, ends its runs and its lease, and is nobody's failure; every weight is as without it."""
    run, words, line, checkpoints = JOBS[name]
    words = [*(word for word in small if name in known_keys()[word.partition("=")[0]]), *words]
    interrupted, straight = tmp_path / "interrupted", tmp_path / "straight"
    code, out, err = stopped([sys.executable, f"jobs/{name}.py", *words, f"storage.path={interrupted}"], line)
    assert code == 75, err
    document = json.loads(out.splitlines()[-1])
    assert document["status"] == "stopped" and "submit the same command again" in document["error"]
    assert f"{name}: {document['error']}" in " ".join(err.split()) and "Traceback" not in err

    [folder] = [folder for folder in interrupted.glob(checkpoints) if read_progress(folder)]
    assert f"step {read_progress(folder)['step']} is saved" in err
    client = MlflowClient(tracking_uri=f"sqlite:///{interrupted / 'mlflow.db'}")
    runs = client.search_runs([client.get_experiment_by_name("dq-bart").experiment_id])
    ended = {(found.data.tags["dq.kind"], found.info.status) for found in runs}
    expected = {("teacher", "KILLED")}
    if name == "dq_sweep":
        expected = {("teacher", "FINISHED"), ("sweep", "KILLED"), ("student", "KILLED")}
    assert ended == expected
    assert all("asked to stop" in found.data.tags["dq.failure"] for found in runs if found.info.status == "KILLED")
    leases = {path.parent: path for path in sorted(interrupted.glob("*/*/lease/*.json"))}
    assert leases and all(json.loads(path.read_text())["released"] for path in leases.values())
    assert not list(interrupted.rglob(".*partial*"))

    answers = [job(name, run, *words, f"storage.path={folder}", base=False) for folder in (interrupted, straight)]
    assert [code for code, _, _ in answers] == [0, 0], answers[0][2]
    first, second = (told(json.loads(out.splitlines()[-1])) for _, out, _ in answers)
    assert first == second
    assert weights(interrupted) == weights(straight) and weights(straight)
    runs = client.search_runs([client.get_experiment_by_name("dq-bart").experiment_id])
    assert {found.info.status for found in runs} == {"FINISHED"} and len(runs) == (4 if name == "dq_sweep" else 1)
