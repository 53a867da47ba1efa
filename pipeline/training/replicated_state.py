"""The state of a model that every rank holds whole, with the torch optimiser of its parameters."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from pipeline.training.tensor_states import Form, SavedStates, TensorState, optimiser_form
from pipeline.training.whole import distinct_tensors


def replicated_state(
    module: nn.Module, optimiser: torch.optim.Optimizer, device: torch.device
) -> Iterator[tuple[str, TensorState]]:
    """Every tensor by its first name; they are the model's own, valid until its next step."""
    trained, form = _trained(optimiser), optimiser_form(optimiser, device)
    for names, tensor in distinct_tensors(module):
        state = optimiser.state.get(tensor, {}) if id(tensor) in trained else {}
        moments, numbers = form.kept(state)
        yield names[0], TensorState(value=tensor.detach(), moments=moments, numbers=numbers)


@torch.no_grad()
def load_replicated_state(
    module: nn.Module, optimiser: torch.optim.Optimizer, device: torch.device, saved: SavedStates
) -> None:
    """Take a state over: values in place, moments in tensors of the optimiser's own.

    Raises:
        DamagedFileError: it is that of another model or optimiser; nothing has changed.
    """
    tensors = {names[0]: tensor for names, tensor in distinct_tensors(module)}
    trained, form = _trained(optimiser), optimiser_form(optimiser, device)
    forms = {
        name: Form(shape=tensor.shape, dtype=tensor.dtype, is_trained=id(tensor) in trained)
        for name, tensor in tensors.items()
    }
    for name, state in saved.checked(forms, form).items():
        tensor = tensors[name]
        tensor.copy_(state.value)
        optimiser.state.pop(tensor, None)
        if state.has_stepped:
            moments: dict[str, Tensor | float] = {
                key: torch.empty_like(tensor, requires_grad=False).copy_(moment)
                for key, moment in state.moments.items()
            }
            numbers = {key: form.number(key, value) for key, value in state.numbers.items()}
            optimiser.state[tensor] = {**numbers, **moments}


def _trained(optimiser: torch.optim.Optimizer) -> set[int]:
    return {id(parameter) for group in optimiser.param_groups for parameter in group["params"]}
