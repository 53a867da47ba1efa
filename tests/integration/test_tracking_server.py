"""A real MLflow server goes away in the middle of a run: training does not notice, and nothing is lost."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request

import pytest
from repository import ROOT

from pipeline.tracking import run as run_module
from pipeline.tracking.tracker import RunSpec, Tracker

SECONDS = 120  # until a server or a process has failed to do what it should
CHILD = """
import sys
from pathlib import Path
from pipeline.tracking.tracker import RunSpec, Tracker

with Tracker(sys.argv[1], "test", Path(sys.argv[2])).start(RunSpec(name="n", key="killed", kind="student")) as run:
    for steps in (range(50), range(50, 350)):
        for step in steps:
            run.metrics({"loss": float(step)}, step)
        print(len(steps), flush=True)
        sys.stdin.readline()
"""


class Server:
    """An `mlflow server` on one port and database that can be stopped and started again."""

    def __init__(self, folder):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.folder, self.url, self.process = folder, f"http://127.0.0.1:{self.port}", None

    def start(self):
        stores = ["--backend-store-uri", f"sqlite:///{self.folder / 'mlflow.db'}"]
        stores += ["--artifacts-destination", str(self.folder / "artifacts")]
        command = [sys.executable, "-m", "mlflow", "server", *stores, "--host", "127.0.0.1", "--workers", "1"]
        environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        with (self.folder / "server.log").open("a") as log:
            self.process = subprocess.Popen(
                [*command, "--port", str(self.port)],
                env=environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + SECONDS
        while not self.answers():
            assert time.monotonic() < deadline, (self.folder / "server.log").read_text()
            with pytest.raises(subprocess.TimeoutExpired):  # it is a pause, and notices a server that ended
                self.process.wait(0.2)

    def stop(self):
        os.killpg(self.process.pid, signal.SIGTERM)
        self.process.wait(SECONDS)
        assert not self.answers()

    def answers(self):
        try:
            return urllib.request.urlopen(f"{self.url}/health", timeout=5).status == 200
        except OSError:
            return False


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    started = Server(tmp_path_factory.mktemp("server"))
    started.start()
    yield started
    if started.process.poll() is None:
        started.stop()


class Spy:
    """A client that remembers from which threads it was called, and whether batches arrived."""

    def __init__(self, client):
        self.client, self.threads = client, []
        self.arrived, self.refused = threading.Event(), threading.Event()

    def __getattr__(self, name):
        method = getattr(self.client, name)

        def call(*arguments, **options):
            self.threads.append(threading.get_ident())
            try:
                answer = method(*arguments, **options)
            except Exception:
                self.refused.set()
                raise
            if name == "log_batch":
                self.arrived.set()
            return answer

        return call


def steps_of(tracker, run_id, key):
    """Steps of a metric in the order in which the server has them; every value is its step."""
    history = tracker.client.get_metric_history(run_id, key)
    assert [metric.value for metric in history] == [float(metric.step) for metric in history]
    return [metric.step for metric in history]


def test_a_server_that_is_stopped_in_the_middle_of_a_run_loses_nothing(server, tmp_path, monkeypatch, capsys):
    """Not one call to MLflow is made by the thread that trains; every value arrives once; the status is true."""
    monkeypatch.setattr(run_module, "FLUSH_SECONDS", 0.05)
    tracker = Tracker(server.url, "test", tmp_path)
    with tracker.start(RunSpec(name="n", key="stopped", kind="student", params={"a": 1})) as run:
        run.client = spy = Spy(tracker.client)
        for step in range(100):
            run.metrics({"loss": float(step), "norm": float(step)}, step)
        assert spy.arrived.wait(SECONDS)
        server.stop()
        for step in range(100, 400):
            run.metrics({"loss": float(step), "norm": float(step)}, step)
        assert spy.refused.wait(SECONDS)
        for step in range(400, 800):
            run.metrics({"loss": float(step), "norm": float(step)}, step)
        run.tags({"late": "tag"})
        assert threading.get_ident() not in spy.threads
        deadline = time.monotonic() + SECONDS
        while not run.away:  # it says so first
            assert time.monotonic() < deadline
        assert str(run.buffer.path) in capsys.readouterr().err
        server.start()
    for key in ("loss", "norm"):
        assert steps_of(tracker, run.run_id, key) == list(range(800))
    found = tracker.find("student", "stopped")
    assert (found.status, found.tags["late"]) == ("FINISHED", "tag")
    assert not list(tmp_path.glob("tracking/*"))


def test_what_a_killed_process_could_not_deliver_is_replayed(server, tmp_path):
    """The server is away, then the process is killed: the next start of the run has every value once."""
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, server.url, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert child.stdout.readline() == "50\n"
        server.stop()
        child.stdin.write("go on\n")
        child.stdin.flush()
        assert child.stdout.readline() == "300\n"
    finally:
        child.kill()
        child.communicate()
    (left,) = tmp_path.glob("tracking/*.jsonl")
    server.start()
    tracker = Tracker(server.url, "test", tmp_path)
    with tracker.start(RunSpec(name="n", key="killed", kind="student")) as run:
        assert left.name.startswith(run.run_id)
        assert steps_of(tracker, run.run_id, "loss") == list(range(350))
        run.metrics({"loss": 350.0}, 350)
    assert steps_of(tracker, run.run_id, "loss") == list(range(351))
    assert tracker.find("student", "killed").finished
    assert not left.exists()
