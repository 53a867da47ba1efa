"""The state of a learner in training, tensor by tensor: one format for every engine and every number of ranks.

A learner's folder holds files `part-<rank>.pt`, written by ranks together, which share the tensors by their bytes, and
`part-<rank>-<number>.pt` where a share is large, so that writing takes little memory:

    of         the step and the learner whose part it is, as their folders are called
    tensors    name of a tensor -> value      the tensor, whole
                                   moments    what the optimiser keeps in its shape: name -> tensor
                                   numbers    what it keeps besides, such as its steps: name -> number

A tied tensor is there once, by the first of its names; buffers and frozen parameters have no moments. Who reads takes
the parts of whatever number of ranks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pipeline.storage.sealed import DamagedFileError
from pipeline.training.collective import rank, world_size
from pipeline.training.state_file import read_state, write_state

PART, PART_BYTES = "part-", 256 << 20
EXPECTED = "the state of a learner"


@dataclass(frozen=True, kw_only=True)
class TensorState:
    """A parameter or buffer, whole, with what the optimiser keeps for it."""

    value: Tensor
    moments: dict[str, Tensor] = field(default_factory=dict)
    numbers: dict[str, float] = field(default_factory=dict)

    @property
    def has_stepped(self) -> bool:
        """Whether the optimiser keeps anything for it: not before its first step."""
        return bool(self.moments or self.numbers)

    @property
    def num_bytes(self) -> int:
        """Of all its tensors."""
        return sum(tensor.nbytes for tensor in (self.value, *self.moments.values()))

    def as_saved(self) -> dict[str, Any]:
        """As it lies in a part; its tensors, on the CPU, own no more than they show: what they own is written."""
        moments = {name: _alone(tensor) for name, tensor in self.moments.items()}
        return {"value": _alone(self.value), "moments": moments, "numbers": self.numbers}


@dataclass(frozen=True, kw_only=True)
class Form:
    """What a tensor's state has to look like."""

    shape: torch.Size
    dtype: torch.dtype
    is_trained: bool


@dataclass(frozen=True, kw_only=True)
class OptimiserForm:
    """What an optimiser keeps for each of its parameters once it has made a step; numbers as it keeps them."""

    moments: frozenset[str]
    numbers: dict[str, Tensor | float]

    def kept(self, state: Mapping[str, Any]) -> tuple[dict[str, Tensor], dict[str, float]]:
        """The moments and numbers in an optimiser's state of a parameter; none before the first step."""
        numbers = {name: state[name] for name in self.numbers if name in state}
        plain = {name: one.item() if isinstance(one, Tensor) else one for name, one in numbers.items()}
        return {name: state[name] for name in sorted(self.moments) if name in state}, plain

    def number(self, name: str, value: float) -> Tensor | float:
        """A number as the optimiser keeps it, one of its own for every parameter."""
        kept = self.numbers[name]
        return torch.full_like(kept, value) if isinstance(kept, Tensor) else value


def optimiser_form(optimiser: torch.optim.Optimizer, device: torch.device) -> OptimiserForm:
    """What an optimiser keeps, found by a step of a parameter that belongs to no model."""
    probe = torch.nn.Parameter(torch.zeros(3, device=device))
    probe.grad = torch.zeros_like(probe)
    groups = optimiser.param_groups
    optimiser.param_groups = [{**groups[0], "params": [probe]}]
    try:
        optimiser.step()
        state = optimiser.state.pop(probe)
    finally:
        optimiser.param_groups = groups
    moments = {name for name, one in state.items() if isinstance(one, Tensor) and one.shape == probe.shape}
    numbers = {name: one for name, one in state.items() if name not in moments}
    return OptimiserForm(moments=frozenset(moments), numbers=numbers)


def write_parts(folder: Path, states: Iterable[tuple[str, TensorState]]) -> dict[str, str]:
    """Write this rank's share of a learner's tensors; every rank calls it with all of them, one after the other.

    Returns:
        name of every file that this rank has written -> its SHA-256; they lie on the disk.
    """
    num_bytes, digests = [0] * world_size(), dict[str, str]()
    kept, num_kept = dict[str, Any](), 0

    def write() -> None:
        name = f"{PART}{rank()}-{len(digests)}.pt" if digests else f"{PART}{rank()}.pt"
        folder.mkdir(parents=True, exist_ok=True)
        digests[name] = write_state(folder / name, {"of": _owner(folder), "tensors": kept})

    for name, state in states:
        owner = num_bytes.index(min(num_bytes))  # the same on all ranks
        num_bytes[owner] += state.num_bytes
        if owner == rank():
            kept[name], num_kept = state.as_saved(), num_kept + state.num_bytes
        if num_kept >= PART_BYTES:
            write()
            kept, num_kept = {}, 0
    if kept:
        write()
    return digests


class SavedStates:
    """The states that lie in a learner's folder: names, shapes; values stay in the files until they are looked at.

    Args:
        folder: with the parts of all ranks that wrote them.

    Raises:
        DamagedFileError: a part that is none, or two with the same tensor.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.states: dict[str, TensorState] = {}
        for part in sorted(folder.glob(f"{PART}*")):
            for name, state in _tensors_of(part).items():
                if name in self.states:
                    raise DamagedFileError(part, f"{EXPECTED}, every tensor once", f"'{name}', as in another part")
                self.states[name] = _state_of(part, name, state)

    def checked(self, forms: Mapping[str, Form], optimiser: OptimiserForm) -> dict[str, TensorState]:
        """The states, by the names of a model.

        Args:
            forms: of all tensors of the model, by the first of their names.
            optimiser: of those that are trained.

        Raises:
            DamagedFileError: they are those of another model, or of another optimiser, or some are missing.
        """
        if missing := [name for name in forms if name not in self.states]:
            raise self._damage(f"with the tensor '{missing[0]}'", "none")
        if extra := [name for name in self.states if name not in forms]:
            raise self._damage("with the tensors of its model", f"also '{extra[0]}'")
        trained = [self.states[name] for name, form in forms.items() if form.is_trained]
        steps, has_stepped = (trained[0].numbers, trained[0].has_stepped) if trained else ({}, False)
        for name, form in forms.items():
            state = self.states[name]
            for tensor in (state.value, *state.moments.values()):
                if (tensor.shape, tensor.dtype) != (form.shape, form.dtype):
                    found = f"{list(tensor.shape)} of {tensor.dtype}"
                    raise self._damage(f"whose '{name}' is {list(form.shape)} of {form.dtype}", found)
            has_moments = form.is_trained and has_stepped
            moments, numbers = (optimiser.moments, optimiser.numbers) if has_moments else (frozenset[str](), {})
            if set(state.moments) != moments or not _are_alike(state.numbers, numbers):
                known = [*sorted(moments), *numbers]
                found = f"{[*sorted(state.moments), *state.numbers]}"
                raise self._damage(f"whose '{name}' has {known} of its optimiser", found)
            if has_moments and state.numbers != steps:  # it steps for all of them at once
                raise self._damage(f"whose '{name}' has made the steps of the others: {steps}", f"{state.numbers}")
        return {name: self.states[name] for name in forms}

    def _damage(self, expected: str, found: str) -> DamagedFileError:
        return DamagedFileError(self.folder, f"{EXPECTED} {expected}", found)


def _owner(folder: Path) -> str:
    return f"{folder.parent.name}/{folder.name}"


def _tensors_of(part: Path) -> dict[Any, Any]:
    """The entries of a part; values stay in the file.

    Raises:
        DamagedFileError: it is none, or that of another learner or step.
    """
    content = read_state(part, "cpu", is_mapped=True)
    if not isinstance(content, dict) or set(content) != {"of", "tensors"} or not isinstance(content["tensors"], dict):
        raise DamagedFileError(part, EXPECTED, "something else")
    if content["of"] != _owner(part.parent):
        raise DamagedFileError(part, f"{EXPECTED} of {_owner(part.parent)}", f"that of {content['of']}")
    return content["tensors"]


def _state_of(part: Path, name: Any, state: Any) -> TensorState:
    """A state as it lies in a part.

    Raises:
        DamagedFileError: it is none.
    """
    is_state = isinstance(name, str) and isinstance(state, dict) and set(state) == {"value", "moments", "numbers"}
    if is_state and isinstance(state["moments"], dict) and isinstance(state["numbers"], dict):
        tensors = (state["value"], *state["moments"].values())
        numbers = state["numbers"].values()
        if all(isinstance(one, Tensor) for one in tensors) and all(type(one) in (int, float) for one in numbers):
            return TensorState(**state)
    raise DamagedFileError(part, EXPECTED, f"another entry '{name}'")


def _are_alike(numbers: Mapping[str, float], kept: Mapping[str, Tensor | float]) -> bool:
    plain = {name: one.item() if isinstance(one, Tensor) else one for name, one in kept.items()}
    return {name: type(one) for name, one in numbers.items()} == {name: type(one) for name, one in plain.items()}


def _alone(tensor: Tensor) -> Tensor:
    tensor = tensor.detach()
    if tensor.device.type != "cpu":
        return tensor.cpu()
    return tensor if tensor.untyped_storage().nbytes() == tensor.nbytes else tensor.clone()
