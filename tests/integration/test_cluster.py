"""A cluster of three raylets: cohorts at the same time, and what is left of a sweep when a raylet dies."""

import json
import shutil
import threading

import pytest
import ray
from ray.cluster_utils import Cluster

from pipeline.stages.memory import WORKER_BYTES
from pipeline.stages.sweep.job import run

pytestmark = [pytest.mark.ray, pytest.mark.slow]

STUDENTS = ("sweep.schemes=[8-8-8,2-2-8]", "sweep.depths=[2-1,1-1]", "sweep.learning_rates=[1e-3,3e-3]")
SETTINGS = ("sweep.cohort_size=4", "cluster.engine=torch", "student.epochs=30", "student.max_steps=60")
SETTINGS += ("student.checkpoint_every_steps=10", "student.log_every_steps=50")
POLL_SECONDS, RETRY_SECONDS = 0.2, 900.0


@pytest.fixture
def raylets():
    """A head without CPUs and two raylets, each with room for one cohort of two workers."""
    room = int(2.5 * WORKER_BYTES)  # two workers of these tiny students, not three
    options = {"object_store_memory": 10**8, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **options})
    nodes = [cluster.add_node(num_cpus=2, memory=room, object_store_memory=10**8) for _ in range(2)]
    ray.init(address=cluster.address, log_to_driver=False)
    yield cluster, nodes
    ray.shutdown()
    cluster.shutdown()


def test_a_raylet_that_dies_in_the_middle_changes_no_result(raylets, job, tmp_path):
    """Eight students in two cohorts at the same time; the one that lost its raylet goes on when there is room.

    The table is that of an undisturbed run on the raylet that is left, bit for bit.
    """
    cluster, nodes = raylets
    killed, over = threading.Event(), threading.Event()

    def kill_when_both_train():
        for _ in range(int(RETRY_SECONDS / POLL_SECONDS)):
            if len(list(tmp_path.glob("hurt/sweeps/*/checkpoints/*/latest"))) == 2:
                cluster.remove_node(nodes[1], allow_graceful=False)
                killed.set()
                return
            if over.wait(POLL_SECONDS):
                return

    killer = threading.Thread(target=kill_when_both_train, daemon=True)
    killer.start()
    code, out, err = job("dq_sweep", run, "cluster=local", *STUDENTS, *SETTINGS, f"storage.path={tmp_path / 'hurt'}")
    over.set()
    killer.join()
    assert code == 0, err
    assert "8 students, 8 to train in 2 cohorts, 2 at a time" in err
    assert killed.is_set(), err
    hurt = json.loads(out.splitlines()[-1])
    shutil.copytree(tmp_path / "hurt" / "teachers", tmp_path / "calm" / "teachers")
    code, out, err = job("dq_sweep", run, "cluster=local", *STUDENTS, *SETTINGS, f"storage.path={tmp_path / 'calm'}")
    assert code == 0, err
    calm = json.loads(out.splitlines()[-1])
    assert [student["key"] for student in hurt["students"]] == [student["key"] for student in calm["students"]]
    for mine, theirs in zip(hurt["students"], calm["students"], strict=True):
        for name in ("task_loss", "logits_loss", "gradient_norm", "test_rougeLsum", "size_bytes"):
            assert mine["metrics"][name] == theirs["metrics"][name]
