"""How much memory GPUs have is learned without a free one: a second submission and `--dry-run` meet a busy cluster."""

import subprocess
from types import SimpleNamespace

import pytest
import ray

from pipeline.cluster import room
from pipeline.cluster.room import GIB, GPU_SHARE, worker_memory_bytes
from pipeline.config.errors import UserError
from pipeline.config.sections.cluster import ClusterConfig

ON_GPU = ClusterConfig(num_workers=2, gpus_per_worker=1)


def node(name, gpus, gib=0, alive=True):
    return {
        "NodeID": name * 56,
        "Alive": alive,
        "Resources": {"CPU": 8.0} | ({"GPU": gpus} if gpus else {}),
        "gib": gib,
    }


@pytest.fixture
def cluster(monkeypatch):
    """`cluster(*nodes)`: a Ray of them whose GPUs are all taken; which nodes were asked, with what reserved."""
    room._asked_device_bytes.cache_clear()
    asked = []

    def make(*nodes, error=None):
        gib = {one["NodeID"]: one["gib"] for one in nodes}

        def remote(**options):
            assert not options.get("num_gpus") and not options.get("num_cpus")  # else it would wait for a free one
            return lambda call: SimpleNamespace(remote=lambda: options["scheduling_strategy"].node_id)

        def get(answers, timeout):
            asked.extend(answers)
            if error:
                raise error
            return [GPU_SHARE * gib[answer] * GIB for answer in answers]

        monkeypatch.setattr(ray, "nodes", lambda: list(nodes))
        monkeypatch.setattr(ray, "remote", remote)
        monkeypatch.setattr(ray, "get", get)
        monkeypatch.setattr(ray, "cancel", lambda *_, **__: None)
        return asked

    yield make
    room._asked_device_bytes.cache_clear()


def test_every_node_with_gpus_is_asked_once_and_the_least_counts(cluster):
    """A worker may be placed on any of them; what a person says is not asked for."""
    asked = cluster(node("c", 0), node("a", 8, 80), node("b", 4, 40), node("d", 8, 10, alive=False))
    assert worker_memory_bytes(ClusterConfig(num_workers=2, gpus_per_worker=1, worker_memory_gib=3.0)) == 3 * GIB
    assert asked == []
    assert worker_memory_bytes(ON_GPU) == worker_memory_bytes(ON_GPU) == pytest.approx(GPU_SHARE * 40 * GIB)
    assert asked == ["a" * 56, "b" * 56]


@pytest.mark.parametrize("error", [ray.exceptions.GetTimeoutError("late"), ray.exceptions.RayError("no driver")])
def test_gpus_that_do_not_answer_are_named_with_the_setting(cluster, error):
    """Also where there are none any more."""
    for nodes in ((node("a", 8, 80),), ()):
        cluster(*nodes, error=error if nodes else None)
        with pytest.raises(UserError) as caught:
            worker_memory_bytes(ON_GPU)
        assert caught.value.change == "set cluster.worker_memory_gib"


def test_a_task_without_gpus_asks_a_process_that_sees_them(monkeypatch):
    """Ray hides devices from what reserves none; reading their properties takes nothing of them."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    calls = []

    def run(command, env, **_):
        calls.append((command[-1], env))
        return SimpleNamespace(returncode=len(calls) - 1, stdout=f"a warning\n{80 * GIB}\n", stderr="no driver")

    monkeypatch.setattr(subprocess, "run", run)
    assert room._installed_device_bytes() == GPU_SHARE * 80 * GIB
    ((program, environment),) = calls
    assert "CUDA_VISIBLE_DEVICES" not in environment and "mem_get_info" not in program
    with pytest.raises(RuntimeError, match="no driver"):
        room._installed_device_bytes()
