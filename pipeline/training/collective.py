"""The few collective operations the project needs; without a process group they are the identity."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, TypeVar

import torch.distributed as dist
from torch import Tensor

Answer = TypeVar("Answer")
Item = TypeVar("Item")

# How long a group may wait for one rank that does something alone: MLflow away at every one of its calls, a slow disk.
WAIT_SECONDS = 24 * 3600.0

# World -> its group of hosts. torch owns both: one that is still held when the interpreter ends may abort it.
_host_groups: weakref.WeakKeyDictionary[Any, weakref.ReferenceType[Any]] = weakref.WeakKeyDictionary()


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
    """`[value of rank 0, value of rank 1, ...]` on every rank; one that comes late is waited for."""
    if world_size() == 1:
        return [value]
    values: list[Any] = [None] * world_size()
    dist.all_gather_object(values, value, _host_group(dist.group.WORLD))
    return values


def in_shares(items: Sequence[Item], call: Callable[[list[Item]], Sequence[Answer]]) -> list[Answer]:
    """What a call gives for items, one answer each, in their order, on every rank; each rank calls it with its share.

    Args:
        items: the same on every rank.
        call: not called with nothing.
    """
    mine = list(items[rank() :: world_size()])
    parts = gather_objects(list(call(mine)) if mine else [])
    return [parts[index % world_size()][index // world_size()] for index in range(len(items))]


def barrier() -> None:
    """Wait until every rank is here, however long that takes; what one has written by then, all can read."""
    if world_size() > 1:
        dist.barrier(_host_group(dist.group.WORLD))


def alone(call: Callable[[], Answer]) -> Answer | None:
    """What a call gives that rank 0 makes alone, None on the others, who wait for it; every rank calls this."""
    barrier()  # makes the group before anything takes long
    answer = call() if rank() == 0 else None
    barrier()
    return answer


def _host_group(world: Any) -> Any:
    """The same ranks on the CPU: what hosts wait for and tell each other; made by all ranks of a world together.

    On NCCL a collective only makes the device's stream wait while the host runs on, and a rank that waits there for
    longer than the group's timeout is killed. Training stays in the group that it has, with the timeout that finds
    its mistakes; here a rank that dies is noticed by its lost connection.
    """
    known = _host_groups.get(world)
    group = None if known is None else known()
    if group is None:
        group = dist.new_group(backend="gloo", timeout=timedelta(seconds=WAIT_SECONDS))
        _host_groups[world] = weakref.ref(group)
    return group
