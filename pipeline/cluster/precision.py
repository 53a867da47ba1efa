"""The precision of matrix products: bf16 where processors compute in it, fp32 where they would have to imitate it.

An imitated product of bf16 matrices takes many times as long as one of fp32 matrices (RESULTS.md). `auto` is decided
once, when a job opens; from then on what was decided stands in the configuration, and so in keys and parameters.
"""

from __future__ import annotations

import functools
import logging
from dataclasses import replace
from pathlib import Path

from pipeline.cluster.questions import answers_of, last_words
from pipeline.config.errors import UserError
from pipeline.config.sections.cluster import AUTO_PRECISION, ClusterConfig

CPUINFO = Path("/proc/cpuinfo")
BF16_FLAGS = frozenset({"avx512_bf16", "amx_bf16", "bf16"})  # of x86 and, the last one, of ARM
ANSWER_SECONDS = 120.0  # how long a node may take to say what its processors can

log = logging.getLogger(__name__)


def with_precision(cluster: ClusterConfig) -> ClusterConfig:
    """The same cluster, its precision decided; call it when the cluster is connected. GPUs compute in bf16.

    Raises:
        UserError: nodes do not say what their processors can.
    """
    if cluster.precision == "fp32":
        return cluster
    without = [] if cluster.gpus_per_worker else _without_bf16(cluster)
    if cluster.precision != AUTO_PRECISION:
        if without:
            log.warning(
                f"cluster.precision={cluster.precision}, and the processors of {_shown(without)} have no bf16 "
                "arithmetic: products take many times as long as with cluster.precision=fp32"
            )
        return cluster
    if without:
        log.info(f"cluster.precision=fp32: the processors of {_shown(without)} have no bf16 arithmetic")
    return replace(cluster, precision="fp32" if without else "bf16")


def has_bf16(cpuinfo: Path = CPUINFO) -> bool:
    """Whether the processors of this machine multiply bf16 matrices without imitating it.

    Args:
        cpuinfo: what Linux says of them; torch is asked where there is no such file.
    """
    if cpuinfo.is_file():
        lines = cpuinfo.read_text(errors="replace").splitlines()
        listed = [line.split(":", 1)[1].split() for line in lines if line.startswith(("flags", "Features"))]
        return bool(listed) and all(BF16_FLAGS & set(flags) for flags in listed)
    import torch

    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(flag, False) for flag in BF16_FLAGS)


def _without_bf16(cluster: ClusterConfig) -> list[str]:
    """Names of machines that workers may be placed on and that have no bf16."""
    if cluster.launcher == "process":
        return [] if has_bf16() else ["this machine"]
    return _nodes_without_bf16(cluster.cpus_per_worker)


@functools.cache
def _nodes_without_bf16(cpus_per_worker: int) -> list[str]:
    """Those among the nodes that can hold a worker, asked once."""
    import ray

    nodes = [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU", 0) >= cpus_per_worker]
    try:
        answers = answers_of([node["NodeID"] for node in nodes], has_bf16, ANSWER_SECONDS)
    except ray.exceptions.RayError as error:
        raise UserError(
            f"a node does not say whether its processors compute in bf16 ({last_words(error)})",
            "nodes that answer, or a precision that is given",
            "set cluster.precision=fp32, or bf16",
        ) from None
    return [node["NodeManagerAddress"] for node, has in zip(nodes, answers, strict=True) if not has]


def _shown(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more
