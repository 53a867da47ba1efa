"""The few collective operations the project needs; without a process group they are the identity."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


def rank() -> int:
    """This process's data-parallel rank."""
    return dist.get_rank() if dist.is_initialized() else 0


def world_size() -> int:
    """Number of data-parallel ranks."""
    return dist.get_world_size() if dist.is_initialized() else 1


def sum_over_ranks(tensor: Tensor) -> Tensor:
    """The element-wise sum of a tensor over all ranks, in place; every rank gets bit-identical values."""
    if world_size() > 1:
        dist.all_reduce(tensor)
    return tensor


def gather_objects(value: Any) -> list[Any]:
    """`[value of rank 0, value of rank 1, ...]` on every rank."""
    if world_size() == 1:
        return [value]
    values: list[Any] = [None] * world_size()
    dist.all_gather_object(values, value)
    return values


def barrier() -> None:
    """Wait until every rank is here."""
    if world_size() > 1:
        # An all-reduce instead of dist.barrier(), which on NCCL guesses a device.
        device = torch.device("cuda", torch.cuda.current_device()) if dist.get_backend() == "nccl" else "cpu"
        dist.all_reduce(torch.zeros(1, device=device))
