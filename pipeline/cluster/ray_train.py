"""Worker functions on a cluster: Ray Train starts a process per rank, forms the group and restarts lost ranks."""

from __future__ import annotations

import logging
import os
import signal
import socket
from collections.abc import Callable
from contextlib import nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from pipeline.cluster.failures import advice, no_useless_restart
from pipeline.cluster.groups import run_watched
from pipeline.cluster.metrics import expose
from pipeline.cluster.room import bundle, wait_for_resources
from pipeline.cluster.stop_files import StopFiles, followed, stop_files
from pipeline.config.errors import UserError
from pipeline.config.login import HandedOver, hand_over, receive
from pipeline.config.sections.cluster import ClusterConfig
from pipeline.config.submission import submission_environment
from pipeline.console.log import log_environment, log_to_stderr
from pipeline.training.allocator import keeping_environment
from pipeline.training.stop_request import Stopped, listen_again, raise_if_asked

Work = TypeVar("Work")

CONNECT_TIMEOUT_S = 3.0
# Batches differ in length from step to step; without it the pieces of one size are of no use to another.
DEVICE_ALLOCATOR = ("PYTORCH_ALLOC_CONF", "expandable_segments:True")


def run_workers(
    worker: Callable[[Work], None],
    work: Work,
    cluster: ClusterConfig,
    *,
    name: str,
    storage_path: Path,
    memory_bytes: float = 0.0,
) -> None:
    """Call `worker(work)` on every rank and wait.

    Args:
        worker: importable function; it finds rank and world size in torch.distributed.
        work: what it is sent: a dataclass of settings, numbers, texts and paths, which is pickled.
        cluster: number of workers and their resources.
        name: identity of the Ray Train run.
        storage_path: folder that all nodes share.
        memory_bytes: what one worker needs; Ray places it where so much is not promised to others.

    Raises:
        UserError: raised in a worker, or it ran out of memory.
        RuntimeError: a worker failed more often than `cluster.max_failures`; the message is the worker's.
        Stopped: the job was asked to stop.
    """
    raise_if_asked()
    if cluster.launcher == "process":
        try:
            worker(work)
        except Exception as error:
            if told := advice(error, name, cluster):
                raise told from error
            raise
        return
    os.environ.setdefault("RAY_TRAIN_ENABLE_PRINT_PATCH", "0")  # else every worker line appears twice
    # A group waits in Ray's queue until the others make room; `run_watched` notices where that cannot happen.
    os.environ.setdefault("RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S", str(30 * 24 * 3600))
    # Watches for draining cloud nodes; on plain CPU clusters it only prints an error about itself.
    os.environ.setdefault("RAY_TRAIN_ENABLE_PREEMPTION_WATCHER", "1" if cluster.gpus_per_worker else "0")
    import ray.train

    with stop_files(storage_path.parent) as files:
        # A configuration of Ray Train's own would have to be a dictionary.
        call = partial(_call_logged, worker, work, hand_over(), files)
        trainer = _trainer(call, cluster, name, storage_path, memory_bytes)
        try:
            run_watched(lambda: trainer.fit() and None, name, cluster, memory_bytes, files)
        except ray.train.TrainingFailedError as error:
            failures = getattr(error, "worker_failures", None) or {0: getattr(error, "controller_failure", error)}
            for cause in failures.values():
                if told := advice(cause, name, cluster):
                    raise told from error
            rank, cause = min(failures.items())
            raise RuntimeError(f"worker {rank} failed: {cause}") from error


def _trainer(
    call: Callable[[], None], cluster: ClusterConfig, name: str, storage_path: Path, memory_bytes: float
) -> Any:
    """Ray Train's part: what it calls on every rank, with which resources."""
    import ray.train
    from ray.train.torch import TorchConfig, TorchTrainer

    gpu = cluster.gpus_per_worker > 0
    return TorchTrainer(
        call,
        torch_config=TorchConfig(backend="nccl" if gpu else "gloo"),
        scaling_config=ray.train.ScalingConfig(
            num_workers=cluster.num_workers,
            use_gpu=gpu,
            resources_per_worker=bundle(cluster, memory_bytes),
        ),
        run_config=ray.train.RunConfig(
            name=name,
            storage_path=str(storage_path),
            worker_runtime_env={
                "env_vars": keeping_environment()
                | log_environment()
                | submission_environment()
                | (_device_allocator() if gpu else {})
            },
            logging_config=ray.train.LoggingConfig(log_level="WARNING"),
            failure_config=ray.train.FailureConfig(max_failures=cluster.max_failures, controller_failure_limit=0),
            callbacks=[no_useless_restart(name, cluster)],
        ),
    )


def connect(cluster: ClusterConfig) -> None:
    """Connect to Ray and make sure that the workers asked for can ever be placed; nothing to do without Ray.

    Raises:
        UserError: no cluster at the address, or too few CPUs or GPUs.
        Stopped: the job was asked to stop.
    """
    if cluster.launcher == "process":
        if cluster.gpus_per_worker:  # before anything asks the device
            os.environ.update(_device_allocator())
        for name, most in (("num_workers", 1), ("gpus_per_worker", _num_gpus())):
            if (given := getattr(cluster, name)) > most:
                raise UserError(
                    f"cluster.{name}={given} with launcher=process", f"at most {most} here", "set cluster.launcher=ray"
                )
        return
    import ray

    if not ray.is_initialized():
        source, address = "cluster.address", cluster.address
        if address == "auto" and "RAY_ADDRESS" in os.environ:
            source, address = "RAY_ADDRESS", os.environ["RAY_ADDRESS"]
        if address not in ("auto", "local"):
            _check_reachable(source, address)
        # Without the dashboard's state API, Ray Train warns every second.
        options: dict[str, Any] = {"include_dashboard": True} if cluster.address == "local" else {}
        try:
            ray.init(address=cluster.address, logging_level=logging.WARNING, log_to_driver=True, **options)
        except (ConnectionError, ValueError, RuntimeError, ray.exceptions.RayError) as error:
            raise UserError(
                f"cluster.address={cluster.address}: {str(error).splitlines()[0]}",
                "a running Ray cluster, or cluster.address=local",
                "start one with `make ray`, or set cluster.address or RAY_ADDRESS",
            ) from error
        except SystemExit as end:
            if end.code == signal.SIGTERM:  # as Ray takes it
                raise Stopped from end
            raise
        finally:
            listen_again()  # else the driver would end without a word to its workers
    expose()
    wait_for_resources(cluster)


def _call_logged(
    worker: Callable[[Work], None], work: Work, logins: HandedOver | None = None, files: StopFiles | None = None
) -> None:
    """Call a worker in a process of its own, whose messages go to stderr as the job's do.

    Logins come with the call, which Ray keeps in memory: of a worker's environment it makes pages and files. Where the
    group was asked to stop the call ends as if it were done, which Ray Train does not begin again; the driver knows.
    """
    receive(logins or HandedOver())
    log_to_stderr()
    expose()
    with nullcontext() if files is None else followed(files), suppress(Stopped):
        worker(work)


def _device_allocator() -> dict[str, str]:
    """Settings of torch's allocator for a process with a GPU; those that a person has made stay."""
    name, value = DEVICE_ALLOCATOR
    return {name: os.environ.get(name, value)}


def _num_gpus() -> int:
    import torch

    return torch.cuda.device_count()


def _check_reachable(source: str, address: str) -> None:
    """ray.init retries a dead address for minutes; a TCP connection tells in seconds."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=CONNECT_TIMEOUT_S).close()
    except (OSError, ValueError) as error:
        raise UserError(
            f"no Ray cluster at {source}={address} ({error})",
            "host:port of a running cluster, auto or local",
            f"start Ray there or set {source}",
        ) from error
