"""Where and how training runs."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.config.bounds import LARGEST_COUNT, MOST_LISTED, MOST_SECONDS
from pipeline.config.option import option

AUTO_PRECISION = "auto"


@dataclass(frozen=True, kw_only=True)
class ClusterConfig:
    """Where and how training runs."""

    name: str = option("local", "name of the cluster; the file conf/cluster/<name>.yaml")
    launcher: str = option(
        "ray", "ray: Ray Train workers; process: this process alone, without Ray", allowed=("ray", "process")
    )
    engine: str = option(
        "deepspeed", "deepspeed: ZeRO; torch: plain PyTorch, replicated parameters", allowed=("deepspeed", "torch")
    )
    address: str = option(
        "auto", "Ray address: auto (the running cluster), local (start one in this process), host:port"
    )
    num_workers: int = option(2, "Ray Train workers (ranks)", minimum=1, maximum=MOST_LISTED)
    cpus_per_worker: int = option(1, "CPU cores reserved per worker", minimum=1)
    gpus_per_worker: int = option(0, "GPUs per worker", minimum=0, maximum=1)
    zero_stage: int = option(2, "DeepSpeed ZeRO stage", allowed=(0, 1, 2, 3))
    precision: str = option(
        AUTO_PRECISION,
        "precision of matrix products over fp32 parameters; auto: bf16 on GPUs and on processors that compute in it, "
        "else fp32",
        allowed=(AUTO_PRECISION, "bf16", "fp32"),
    )
    max_failures: int = option(1, "restarts of lost workers before the job fails", minimum=0)
    worker_memory_gib: float | None = option(
        None,
        "memory of one worker, of its device where it uses a GPU; none: what Ray knows of the nodes",
        minimum=0.0,
        maximum=LARGEST_COUNT,
    )
    wait_seconds: float = option(
        0.0, "how long nodes that are not there yet are waited for at the start", minimum=0.0, maximum=MOST_SECONDS
    )
    lost_node_seconds: float = option(
        300.0,
        "how long nodes that were lost are waited for, where nothing can go on without",
        minimum=0.0,
        maximum=MOST_SECONDS,
    )
