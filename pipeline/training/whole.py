"""The whole tensors of a model in training, brought one by one to where they are wanted; tied ones once."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from pipeline.training.collective import rank

Named = tuple[list[str], Tensor]  # a tensor with all its names: a tied one has several


def distinct_tensors(module: nn.Module) -> Iterator[Named]:
    """Parameters and buffers of a module's state, each once, in its order."""
    names: dict[int, list[str]] = {}
    state = module.state_dict(keep_vars=True)
    for name, tensor in state.items():
        names.setdefault(id(tensor), []).append(name)
    for of_tensor in names.values():
        yield of_tensor, state[of_tensor[0]]


def state_on_first_rank(tensors: Iterator[Named]) -> dict[str, Tensor]:
    """The state on the CPU of rank 0, names of a tied tensor sharing it; on other ranks nothing, but they take part."""
    state: dict[str, Tensor] = {}
    for names, tensor in tensors:
        if rank() == 0:
            state |= dict.fromkeys(names, tensor.detach().to("cpu", copy=True))
    return state


@torch.no_grad()
def copy_tensors(tensors: Iterator[Named], replica: nn.Module | None) -> None:
    """Copy a state into a replica, device to device; without one a rank only takes part.

    Raises:
        ValueError: the replica's tensors are not those of the state.
    """
    targets = {} if replica is None else replica.state_dict(keep_vars=True)
    left = set(targets)
    for names, tensor in tensors:
        if replica is None:
            continue
        if any(name not in targets or targets[name].shape != tensor.shape for name in names):
            raise ValueError(f"{names[0]} is not the same in a model and its replica")
        for target in {id(targets[name]): targets[name] for name in names}.values():
            target.copy_(tensor)
        left -= set(names)
    if left:
        raise ValueError(f"a replica has {sorted(left)[0]}, which its model has not")
