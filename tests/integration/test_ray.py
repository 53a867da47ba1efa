"""The main job on Ray: two Ray Train workers, DeepSpeed ZeRO, bf16 over fp32 shadow weights."""

import json
import os
import signal
import time
import urllib.request

import pytest
import ray
from mlflow import MlflowClient

from pipeline.cluster import groups
from pipeline.cluster.precision import has_bf16, with_precision
from pipeline.cluster.ray_train import run_workers
from pipeline.config.sections.cluster import ClusterConfig
from pipeline.export.package import load_package
from pipeline.stages.sweep import register
from pipeline.stages.sweep.job import run
from pipeline.training.stop_request import Stopped, asked, listening

pytestmark = pytest.mark.ray

STUDENTS = "sweep.students=[{scheme: 8-8-8, depth: 6-3}, {scheme: 2-2-8, depth: 3-1, learning_rate: 1e30}]"


@pytest.fixture(scope="module")
def ray_here():
    """A Ray of two CPUs inside this process."""
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=10**8)
    yield
    ray.shutdown()


def test_a_sweep_on_two_deepspeed_workers(ray_here, job, tmp_path, monkeypatch):
    """Teacher and cohort train under ZeRO 2 on two ranks; a diverging student leaves on both; the other is packed.

    Its worker logs its model, once.
    """
    monkeypatch.setattr(register, "run", lambda *_: {})  # which would make up for a model that is missing
    code, out, err = job("dq_sweep", run, "cluster=local", STUDENTS, f"storage.path={tmp_path}")
    document = json.loads(out.splitlines()[-1])
    good, bad = document["students"]
    assert code == 1, err
    assert good["failure"] is None
    assert "optimiser step" in bad["failure"]
    model, _ = load_package(tmp_path / "sweeps" / document["sweep"] / "students" / good["key"] / "packed")
    assert model.config.decoder_layers == 3
    found = MlflowClient(tracking_uri=f"sqlite:///{tmp_path / 'mlflow.db'}").get_run(good["run_id"])
    assert len(found.outputs.model_outputs) == 1


def test_workers_keep_the_memory_of_their_tensors(ray_here, tmp_path):
    """Also in the thread that trains: its tensors' pages are not faulted in again and again."""
    num_pages = 2**26 // os.sysconf("SC_PAGESIZE")

    def worker(folder):  # by value: workers cannot import tests
        import resource

        import torch

        seen = []
        for _ in range(31):
            torch.ones(2**24)
            seen.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
        (folder / "faults").write_text(str(seen[-1] - seen[-11]))

    cluster = ClusterConfig(num_workers=1)
    run_workers(worker, tmp_path, cluster, name="faults", storage_path=tmp_path / "ray")
    assert int((tmp_path / "faults").read_text()) < num_pages


@pytest.mark.parametrize(
    "override", ["cluster.num_workers=3", "cluster.cpus_per_worker=2", "cluster.gpus_per_worker=1"]
)
def test_workers_that_can_never_be_placed_are_refused(ray_here, job, tmp_path, override):
    """Instead of waiting for ever."""
    code, _, err = job("dq_sweep", run, "cluster=local", override, f"storage.path={tmp_path}")
    assert code == 2
    assert "in this Ray cluster" in " ".join(err.split())


def test_nodes_say_whether_their_processors_compute_in_bf16(ray_here):
    """Here there is one node, this machine."""
    assert with_precision(ClusterConfig(num_workers=1)).precision == ("bf16" if has_bf16() else "fp32")


def test_workers_log_as_the_job_does(ray_here, tmp_path, monkeypatch):
    """On stderr, which Ray brings to the driver, at the job's level, and each message once."""
    monkeypatch.setenv("DQ_LOG_LEVEL", "WARNING")

    def worker(payload):  # by value: workers cannot import tests
        import contextlib
        import io
        import logging
        from pathlib import Path

        with contextlib.redirect_stderr(io.StringIO()) as said:
            log = logging.getLogger("pipeline.stages.somewhere")
            log.info("a detail")
            log.warning("a doubt")
        Path(payload["folder"], "said").write_text(said.getvalue())

    payload = {"folder": str(tmp_path)}
    run_workers(worker, payload, ClusterConfig(num_workers=1), name="log", storage_path=tmp_path / "ray")
    assert (tmp_path / "said").read_text() == "warning: a doubt\n"


def test_a_request_to_stop_reaches_workers_and_waits_for_what_they_save(ray_here, tmp_path, monkeypatch):
    """SIGTERM comes to the driver alone; the worker's call ends well, so Ray restarts nobody."""
    monkeypatch.setattr(groups, "STOP_SECONDS", 600.0)  # Ray tells of the end every few seconds
    earlier = signal.getsignal(signal.SIGTERM)

    def worker(folder):  # by value: workers cannot import tests
        import time

        from pipeline.cluster.stop_files import asked_by_driver, in_training
        from pipeline.training.stop_request import Stopped

        with in_training(tells=True):
            (folder / "trains").touch()
            while not asked_by_driver():
                time.sleep(0.01)
            (folder / "saved").touch()
            raise Stopped

    def when_it_trains(watch):
        if (tmp_path / "trains").exists() and not asked():
            signal.raise_signal(signal.SIGTERM)
        look(watch)

    look = groups._Watch.look_regularly
    monkeypatch.setattr(groups._Watch, "look_regularly", when_it_trains)
    try:
        with pytest.raises(Stopped), listening():
            run_workers(worker, tmp_path, ClusterConfig(num_workers=1), name="stop", storage_path=tmp_path / "ray")
    finally:
        signal.signal(signal.SIGTERM, earlier)
    assert (tmp_path / "saved").exists() and not list(tmp_path.glob(".*"))


def test_monitoring_sees_what_workers_show(ray_here, tmp_path):
    """On the metrics endpoint of Ray, under the name that dashboards ask for."""

    def worker(_):  # by value: workers cannot import tests
        from pipeline.console import gauges

        gauges.show(gauges.LOSS, 1.25, learner="a learner")

    run_workers(worker, tmp_path, ClusterConfig(num_workers=1), name="shown", storage_path=tmp_path / "ray")
    (node,) = ray.nodes()
    address = f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics"
    deadline, found = time.monotonic() + 90, ""
    while "ray_dq_loss" not in found and time.monotonic() < deadline:  # Ray sends every few seconds
        time.sleep(1)
        with urllib.request.urlopen(address, timeout=10) as answer:
            found = answer.read().decode()
    (line,) = [line for line in found.splitlines() if line.startswith("ray_dq_loss{")]
    assert 'learner="a learner"' in line and line.endswith(" 1.25")
