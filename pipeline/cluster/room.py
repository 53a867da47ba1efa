"""What a cluster has room for: how much memory a worker may use, how many groups of workers fit at once."""

from __future__ import annotations

import functools
import math
import os
import subprocess
import sys
import time
from collections.abc import Sequence

import psutil

from pipeline.cluster.questions import answers_of, last_words
from pipeline.config.errors import UserError
from pipeline.config.sections.cluster import ClusterConfig

GIB = 2**30
GPU_SHARE = 0.9  # the rest of a device's memory belongs to its libraries
POLL_SECONDS = 1.0
GPU_SECONDS = 120.0  # how long a GPU may take to say what it has

Nodes = Sequence[dict[str, float]]  # resources of every node that is alive


def nodes_alive() -> Nodes:
    """Resources of every node of the cluster that this process is connected to."""
    import ray

    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def bundle(cluster: ClusterConfig, memory_bytes: float = 0.0) -> dict[str, float]:
    """What one worker reserves; memory of the machine only without GPUs, whose own is what counts."""
    resources: dict[str, float] = {"CPU": cluster.cpus_per_worker}
    if cluster.gpus_per_worker:
        return resources | {"GPU": cluster.gpus_per_worker}
    return resources | ({"memory": math.ceil(memory_bytes)} if memory_bytes else {})


def num_groups(cluster: ClusterConfig, nodes: Nodes, memory_bytes: float = 0.0) -> int:
    """How many groups of `cluster.num_workers` workers fit at the same time; whole workers on each node.

    Args:
        cluster: a worker's resources.
        nodes: what there is.
        memory_bytes: of one worker.
    """
    return sum(_num_workers(node, bundle(cluster, memory_bytes)) for node in nodes) // cluster.num_workers


def worker_memory_bytes(cluster: ClusterConfig) -> float:
    """The most memory that each worker of a group can have in the empty cluster; of its device if it uses a GPU.

    Raises:
        UserError: no GPU answers.
    """
    if cluster.worker_memory_gib is not None:
        return cluster.worker_memory_gib * GIB
    if cluster.gpus_per_worker:
        return _device_bytes() if cluster.launcher == "process" else _asked_device_bytes()
    if cluster.launcher == "process":
        return float(psutil.virtual_memory().available)
    nodes = nodes_alive()
    shares = {float(node.get("memory", 0.0) // count) for node in nodes for count in range(1, cluster.num_workers + 1)}
    fitting = [share for share in shares if share >= 1 and num_groups(cluster, nodes, share) >= 1]
    return max(fitting, default=0.0)


def check_resources(cluster: ClusterConfig, nodes: Nodes, memory_bytes: float = 0.0) -> None:
    """A group must fit into the nodes, every worker into one of them.

    Raises:
        UserError: it does not.
    """
    if num_groups(cluster, nodes, memory_bytes) >= 1:
        return
    needed = bundle(cluster, memory_bytes)
    there = "; ".join(_shown({resource: node.get(resource, 0.0) for resource in needed}) for node in nodes)
    raise UserError(
        f"{cluster.num_workers} workers with {_shown(needed)} each",
        f"what fits into the nodes in this Ray cluster: {there or 'there are none'}",
        "set cluster.num_workers, cpus_per_worker or gpus_per_worker, or use larger nodes",
    )


def wait_for_resources(cluster: ClusterConfig) -> None:
    """Check the resources; nodes that are not there yet are asked for and waited for, as long as `wait_seconds` says.

    Raises:
        UserError: they did not come.
    """
    deadline, asked = time.monotonic() + cluster.wait_seconds, False
    try:
        while True:
            try:
                return check_resources(cluster, nodes_alive())
            except UserError:
                if time.monotonic() > deadline:
                    raise
                asked = _ask_autoscaler([bundle(cluster)] * cluster.num_workers)
                time.sleep(POLL_SECONDS)
    finally:
        if asked:
            _ask_autoscaler([])  # else it would keep the nodes after the job


def _ask_autoscaler(bundles: list[dict[str, float]]) -> bool:
    """Where there is none, nobody hears it."""
    from ray.autoscaler.sdk import request_resources

    request_resources(bundles=bundles)
    return True


@functools.cache
def _asked_device_bytes() -> float:
    """The least that a GPU of the cluster's nodes has, asked once.

    Every node with GPUs is asked by a task that reserves none: all may be busy, and the answer is the same.
    """
    import ray

    try:
        return min(answers_of(_gpu_nodes(), _installed_device_bytes, GPU_SECONDS))
    except (ray.exceptions.RayError, ValueError) as error:  # none answered in time, or at all, or there are none
        raise UserError(
            f"no GPU of the cluster says how much memory it has ({last_words(error)})",
            "GPUs that a process on their node can see, or a number",
            "set cluster.worker_memory_gib",
        ) from None


def _gpu_nodes() -> list[str]:
    import ray

    return [node["NodeID"] for node in ray.nodes() if node["Alive"] and node["Resources"].get("GPU", 0) > 0]


def _shown(resources: dict[str, float]) -> str:
    """As people read it: memory in GiB."""
    return ", ".join(
        f"{amount / GIB:.1f} GiB" if name == "memory" else f"{amount:g} {name}" for name, amount in resources.items()
    )


def _num_workers(node: dict[str, float], needed: dict[str, float]) -> int:
    return int(min(node.get(resource, 0.0) // amount for resource, amount in needed.items()))


def _device_bytes() -> float:
    import torch

    return GPU_SHARE * torch.cuda.get_device_properties(0).total_memory


def _installed_device_bytes() -> float:
    """On a node with GPUs, in a task that has none: Ray hides them from it, but not from a process of its own.

    A process that only reads a device's properties takes none of its memory.
    """
    hidden = ("CUDA_VISIBLE_DEVICES",)
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    program = "import torch; print(torch.cuda.get_device_properties(0).total_memory)"
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr.strip()[-200:])
    return GPU_SHARE * float(done.stdout.split()[-1])
