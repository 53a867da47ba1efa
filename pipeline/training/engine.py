"""What the loop asks of a training engine, and the engine of plain PyTorch.

Gradients are sums: the loop divides each loss by a global token count, so an engine adds gradients over micro-batches
and ranks and never averages them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from pipeline.config.errors import NonFiniteError
from pipeline.quantization.fake_quantize import drop_weight_cache
from pipeline.training.collective import sum_over_ranks, world_size
from pipeline.training.layout import engine_name
from pipeline.training.replicated_state import load_replicated_state, replicated_state
from pipeline.training.tensor_states import SavedStates, TensorState
from pipeline.training.whole import copy_tensors, distinct_tensors, state_on_first_rank


class Engine(Protocol):
    """A model with its optimiser, possibly sharded."""

    name: str
    module: nn.Module
    device: torch.device

    def start_micro_batch(self, last: bool) -> None:
        """A forward and backward pass begins; `last` of the optimiser step."""
        ...

    def forward(self, **inputs: Any) -> Any:
        """The model's outputs under the engine's precision."""
        ...

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of a loss that is already divided by its global count."""
        ...

    def step(self, learning_rate: float) -> float:
        """Clip, update and clear the gradients; the global gradient norm before clipping.

        Raises:
            NonFiniteError: the norm is NaN or infinite on every rank; no parameter has changed.
        """
        ...

    def discard(self) -> None:
        """Clear the gradients without an update."""
        ...

    def whole_state(self) -> dict[str, Tensor]:
        """A copy of all parameters and buffers, whole, on the CPU of rank 0; nothing on the others, who call it too."""
        ...

    def copy_to(self, replica: nn.Module | None) -> None:
        """Give a replica on this rank the values of all parameters and buffers; every rank calls it, some without."""
        ...

    def states(self) -> Iterator[tuple[str, TensorState]]:
        """Every parameter and buffer by name, whole, with what the optimiser keeps for it; tied ones once.

        Every rank goes through all of them, which are gathered one after the other. They are valid until the next step,
        and may be the engine's own.
        """
        ...

    def load(self, saved: SavedStates) -> None:
        """Take over what any engine on any number of ranks has given; every rank calls it.

        Raises:
            DamagedFileError: it is the state of another model or optimiser; nothing has changed.
        """
        ...

    def close(self) -> None:
        """Free the memory; every rank calls it."""
        ...


class TorchEngine:
    """Plain PyTorch: replicated parameters, gradients summed over ranks, bf16 autocast over fp32 parameters."""

    def __init__(
        self, module: nn.Module, optimiser: torch.optim.Optimizer, *, precision: str, max_gradient_norm: float
    ) -> None:
        self.name, self.module, self.optimiser = engine_name(None), module, optimiser
        self.max_gradient_norm = max_gradient_norm
        self.parameters = [p for p in module.parameters() if p.requires_grad]
        self.device = self.parameters[0].device
        self.autocast = precision == "bf16"

    def start_micro_batch(self, last: bool) -> None:
        """See `Engine.start_micro_batch`; gradients simply add up here."""

    def forward(self, **inputs: Any) -> Any:
        """See `Engine.forward`."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.autocast):
            return self.module(**inputs)

    def backward(self, loss: Tensor) -> None:
        """See `Engine.backward`."""
        loss.backward()  # type: ignore[no-untyped-call]

    def step(self, learning_rate: float) -> float:
        """See `Engine.step`."""
        self._sum_gradients()
        norm = nn.utils.get_total_norm([p.grad for p in self.parameters if p.grad is not None])
        if not torch.isfinite(norm):
            self.discard()
            raise NonFiniteError(f"gradient norm is {norm.item()}")
        if 0 < self.max_gradient_norm < norm:
            nn.utils.clip_grads_with_norm_(self.parameters, self.max_gradient_norm, norm)
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate
        self.optimiser.step()
        drop_weight_cache(self.module)
        self.discard()
        return float(norm)

    def discard(self) -> None:
        """See `Engine.discard`."""
        self.optimiser.zero_grad(set_to_none=True)

    def whole_state(self) -> dict[str, Tensor]:
        """See `Engine.whole_state`."""
        return state_on_first_rank(distinct_tensors(self.module))

    def copy_to(self, replica: nn.Module | None) -> None:
        """See `Engine.copy_to`."""
        copy_tensors(distinct_tensors(self.module), replica)

    def states(self) -> Iterator[tuple[str, TensorState]]:
        """See `Engine.states`; ranks are replicas, so nothing is gathered."""
        return replicated_state(self.module, self.optimiser, self.device)

    def load(self, saved: SavedStates) -> None:
        """See `Engine.load`."""
        load_replicated_state(self.module, self.optimiser, self.device, saved)
        drop_weight_cache(self.module)

    def close(self) -> None:
        """See `Engine.close`; garbage collection does it."""

    def _sum_gradients(self) -> None:
        # Unused on this rank, perhaps used on another; alone, too: on any number of ranks it decays and counts steps.
        for parameter in self.parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        if world_size() == 1:
            return
        gradients = [p.grad for p in self.parameters if p.grad is not None]
        flat = sum_over_ranks(torch.cat([g.flatten() for g in gradients]))
        start = 0
        for gradient in gradients:
            gradient.copy_(flat[start : start + gradient.numel()].view_as(gradient))
            start += gradient.numel()
