"""`make sweep`'s script: a head on loopback, a real submission, the job's own exit code, nothing left running."""

import os
import socket
import subprocess
import sys

import pytest
from repository import ROOT

pytestmark = pytest.mark.ray


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def laptop(tmp_path):
    """Run `infra/laptop.py` on ports and storage of its own."""
    ports = {"DQ_RAY_PORT": str(free_port()), "DQ_RAY_DASHBOARD_PORT": str(free_port())}
    environment = {**os.environ, **ports, "DQ_STORAGE": str(tmp_path / "runs"), "PYTHONPATH": str(ROOT)}
    environment.pop("RAY_ADDRESS", None)

    def call(*arguments):
        command = [sys.executable, "infra/laptop.py", *arguments]
        return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240)

    return call


def test_a_submitted_job_s_exit_code_and_message_come_through(laptop, tmp_path):
    """A user's mistake in a submitted job is exit code 2 here, too, and the head that was started is gone."""
    answer = laptop("submit", "--", "python", "jobs/dq_sweep.py", "experiment=quickstart", "storage.path=runs")
    assert answer.returncode == 2, answer.stdout + answer.stderr
    assert "DQ_STORAGE" in answer.stdout
    assert not (tmp_path / "runs" / "ray-head" / "pid").exists()
    head = (tmp_path / "runs" / "ray-head" / "token").stat()
    assert head.st_mode & 0o077 == 0


def test_nonsense_is_answered_with_the_usage(laptop):
    """Exit code 2."""
    answer = laptop("sumbit")
    assert answer.returncode == 2
    assert "submit -- python jobs" in answer.stderr
