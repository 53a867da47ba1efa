"""A worker that ran out of memory is not restarted to do so again: a person is told what to change."""

import errno
from types import SimpleNamespace

import pytest
import ray
import torch
from ray.train import ControllerError, UserCallback, WorkerGroupError

from pipeline.cluster import ray_train
from pipeline.cluster.failures import advice, lasts, no_useless_restart
from pipeline.config.errors import UserError
from pipeline.config.sections.cluster import ClusterConfig
from pipeline.config.submission import submission_environment
from pipeline.training.allocator import keeping_environment

PROCESS = ClusterConfig(launcher="process", engine="torch", num_workers=1)
ON_GPU, ON_CPU = ClusterConfig(num_workers=8, gpus_per_worker=1), ClusterConfig()


class WrappedError(Exception):
    """As Ray Train wraps what a worker raised."""

    def __init__(self, error):
        super().__init__("a traceback")
        self._base_exc = error


MEMORY = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.11 GiB"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory: you tried to"),
    OSError(12, "Cannot allocate memory"),
    MemoryError(),
]
KILLED = ray.exceptions.OutOfMemoryError("Task was killed due to the node running low on memory.")
OTHERS = [
    RuntimeError("Connection reset by peer"),
    RuntimeError("(1) The process is killed by SIGKILL by OOM killer due to high memory usage. (2) ray stop"),
]


@pytest.mark.parametrize("error", [*MEMORY, KILLED], ids=repr)
@pytest.mark.parametrize("cluster", [ON_GPU, ON_CPU])
def test_too_little_memory_becomes_one_paragraph(error, cluster):
    """With the settings that help; also where another error stands in front."""
    try:
        raise RuntimeError("of a worker") from error
    except RuntimeError as outer:
        for seen in (error, outer, WrappedError(error)):
            told = advice(seen, "cohort-x", cluster)
            assert told.given.startswith("cohort-x: a worker ran out of the memory of its ")
            assert ("its GPU" in told.given) == (cluster is ON_GPU)
            for setting in ("sweep.cohort_size", "cluster.worker_memory_gib", "micro_batch_tokens"):
                assert setting in told.change
            assert "\n" not in str(told)


def test_a_full_disk_is_named_and_not_met_again():
    """A restarted worker would write to the same disk."""
    error = OSError(errno.ENOSPC, "No space left on device", "/storage/x")
    for seen in (error, WrappedError(error)):
        assert advice(seen, "cohort-x", ON_CPU).given == "the disk is full (/storage/x)"
        assert lasts(seen)


@pytest.mark.parametrize("error", OTHERS, ids=repr)
def test_other_failures_are_left_to_restarts(error):
    """Nothing is made up about them."""
    assert advice(error, "x", ON_GPU) is None and not lasts(error)
    no_useless_restart("x", ON_GPU).after_exception(None, {0: error})


@pytest.mark.parametrize("error", [*MEMORY, UserError("a", "b", "c")], ids=repr)
def test_what_a_worker_would_do_again_ends_the_run(error):
    """Whatever other ranks say in consequence; a worker that Ray's memory monitor killed is tried once more."""
    stop = no_useless_restart("x", ON_GPU)
    assert isinstance(stop, UserCallback)
    with pytest.raises(ControllerError) as caught:
        stop.after_exception(None, {0: OTHERS[0], 3: WrappedError(error)})
    assert isinstance(caught.value.controller_failure, UserError)
    stop.after_exception(None, {0: KILLED})


@pytest.mark.parametrize("error", MEMORY, ids=repr)
def test_without_ray_the_same_is_said(error):
    """By the process that trains itself."""

    def worker(_):
        raise error

    with pytest.raises(UserError, match="cohort_size"):
        ray_train.run_workers(worker, {}, PROCESS, name="x", storage_path=None)
    with pytest.raises(ZeroDivisionError):
        ray_train.run_workers(lambda _: 1 / 0, {}, PROCESS, name="x", storage_path=None)


@pytest.fixture
def fit(monkeypatch, tmp_path):
    """`fit(cluster, error)`: what Ray Train is asked for by workers that end so."""
    asked = {}

    class Trainer:
        def __init__(self, worker, **settings):
            asked.update(settings)

        def fit(self):
            if asked["error"]:
                raise asked["error"]

    def call(cluster, error=None):
        asked["error"] = error
        monkeypatch.setattr("ray.train.torch.TorchTrainer", Trainer)
        ray_train.run_workers(print, {}, cluster, name="x", storage_path=tmp_path)
        return SimpleNamespace(**asked)

    return call


@pytest.mark.parametrize("error", [KILLED, *MEMORY], ids=repr)
def test_the_last_failure_is_explained_too(fit, error):
    """Whether Ray stopped at once or after restarts."""
    for failed in (WorkerGroupError("text", {1: error}), ControllerError(advice(error, "x", ON_CPU))):
        with pytest.raises(UserError, match="cohort_size"):
            fit(ON_CPU, failed)
    with pytest.raises(RuntimeError, match="worker 1 failed: Connection"):
        fit(ON_CPU, WorkerGroupError("text", {1: OTHERS[0]}))


def test_workers_on_gpus_start_with_expandable_segments(fit, monkeypatch):
    """Before torch reads it, unless a person has said otherwise; workers without GPUs are left alone."""
    monkeypatch.delenv("PYTORCH_ALLOC_CONF", raising=False)
    for_all = keeping_environment() | submission_environment()
    assert fit(ON_CPU).run_config.worker_runtime_env == {"env_vars": for_all}
    found, wanted = fit(ON_GPU).run_config, {"PYTORCH_ALLOC_CONF": "expandable_segments:True"}
    assert found.worker_runtime_env == {"env_vars": for_all | wanted}
    assert len(found.callbacks) == 1 and isinstance(found.callbacks[0], UserCallback)
    monkeypatch.setenv("PYTORCH_ALLOC_CONF", "max_split_size_mb:128")
    assert fit(ON_GPU).run_config.worker_runtime_env["env_vars"]["PYTORCH_ALLOC_CONF"] == "max_split_size_mb:128"
