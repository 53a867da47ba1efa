"""`infra/submit.py`: a job on a cluster elsewhere ends this command as it ends, once per piece of work."""

import os
import subprocess
import sys

import pytest
from integration.test_laptop import free_port
from repository import ROOT

pytestmark = pytest.mark.ray
HELD = "import pathlib, sys, time; pathlib.Path(sys.argv[1]).touch(); print('begun', flush=True); time.sleep(300)"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """Environment and address of a head with a token of its own."""
    folder = tmp_path_factory.mktemp("head")
    ports = {"DQ_RAY_PORT": str(free_port()), "DQ_RAY_DASHBOARD_PORT": str(free_port())}
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(folder / "token")}
    environment = {**os.environ, **ports, **token, "DQ_STORAGE": str(folder), "PYTHONPATH": str(ROOT)}
    environment.pop("RAY_ADDRESS", None)
    for command in ("start", "stop"):
        subprocess.run([sys.executable, "infra/laptop.py", command], cwd=ROOT, env=environment, check=True, timeout=120)
        if command == "start":
            yield environment, f"http://127.0.0.1:{ports['DQ_RAY_DASHBOARD_PORT']}"


@pytest.fixture
def submit(cluster):
    """Start the command: `submit(work, *job, done=...)`."""
    environment, address = cluster

    def start(work, *job, done=(), wait_seconds=20.0, **changed):
        options = ["--address", changed.pop("address", address), "--id", work, f"--wait-seconds={wait_seconds}"]
        options += ["--done", *map(str, done)] if done else []
        return subprocess.Popen(
            [sys.executable, "infra/submit.py", *options, "--", *job],
            cwd=ROOT,
            env=environment | changed,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


def test_a_job_s_log_and_exit_code_are_the_command_s(submit):
    """Also of words with spaces; codes that count as done are 0."""
    job = ["python", "-c", "import sys; print('the', 'log'); sys.exit(10)"]
    first, second = submit("ten", *job), submit("eleven", *job, done=[10])
    out, err = first.communicate(timeout=120)
    assert first.returncode == 10 and "the log" in out and "submitted as ten-1" in err
    second.communicate(timeout=120)
    assert second.returncode == 0


def test_one_piece_of_work_is_one_job(submit, tmp_path):
    """A second command follows the first one's job; asked to stop it stops that, and the next one submits again."""
    job = ["python", "-c", HELD, str(tmp_path / "begun")]
    first = submit("held", *job)
    assert "begun\n" in iter(first.stdout.readline, "")
    second = submit("held", *job)
    assert "begun\n" in iter(second.stdout.readline, "")
    second.terminate()
    _, err = second.communicate(timeout=120)
    assert second.returncode == 75 and "held-1 runs already" in err
    first.communicate(timeout=120)
    assert first.returncode != 0  # its job was stopped by the other
    third = submit("held", "python", "-c", "print('again')")
    out, err = third.communicate(timeout=120)
    assert third.returncode == 0 and "again" in out and "submitted as held-2" in err


def test_a_wrong_token_and_a_cluster_that_is_away_are_told_apart(submit, tmp_path):
    """The one needs a person; the other is tried again by whoever has called."""
    (tmp_path / "token").write_text("0" * 64)
    wrong = submit("x", "true", RAY_AUTH_TOKEN_PATH=str(tmp_path / "token"))
    away = submit("x", "true", address=f"http://127.0.0.1:{free_port()}", wait_seconds=0.0)
    _, err = wrong.communicate(timeout=120)
    assert wrong.returncode == 2 and "Allowed: RAY_AUTH_MODE=token" in err and "Traceback" not in err
    _, err = away.communicate(timeout=120)
    assert away.returncode == 75 and "did not answer" in err and "Traceback" not in err


def test_a_head_that_goes_stops_its_jobs(submit, cluster):
    """They have time to save what they train; a head that is gone already is no error."""
    environment, address = cluster
    job = submit("drained", "python", "-c", HELD.replace("pathlib.Path(sys.argv[1]).touch(); ", ""))
    assert "begun\n" in iter(job.stdout.readline, "")
    for where in (address, f"http://127.0.0.1:{free_port()}"):
        subprocess.run([sys.executable, "infra/drain.py", where], cwd=ROOT, env=environment, check=True, timeout=60)
    _, err = job.communicate(timeout=60)
    assert job.returncode != 0 and "Traceback" not in err
