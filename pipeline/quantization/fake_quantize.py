"""Fake quantization: round to the grid, stay in float, and let gradients through.

Straight-through estimator: the gradient of the rounded value is the gradient of the value itself, and zero where a
value lies outside the clip. A learned scale gets the gradient that `learned.py` states.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from pipeline.quantization.quantizers import Quantizer, grid_of


class RoundTrip(NamedTuple):
    """A tensor quantized and put back into its shape."""

    values: Tensor
    inside: Tensor | None  # where the gradient passes; None: everywhere
    slope: Tensor | None  # d value / d learned parameter, in blocks


def round_trip(x: Tensor, quantizer: Quantizer, parameter: Tensor | None = None) -> RoundTrip:
    """The quantized values of a tensor, in fp32 at least, with what their gradients need."""
    with torch.autocast(x.device.type, enabled=False):
        x = x.float() if x.dtype in (torch.bfloat16, torch.float16) else x
        grid = grid_of(x, quantizer, parameter)
        values, slope = grid.values(), None
        if parameter is not None:
            blocks = quantizer.blocks.split(x)
            moved = blocks if grid.inside is None else torch.where(grid.inside, blocks, 0.0)
            factor = quantizer.slope_factor(blocks, parameter.view(grid.scale.shape))
            slope = (values - moved) / grid.scale * factor
        inside = None if grid.inside is None else grid.inside.view(x.shape)
        return RoundTrip(values.view(x.shape), inside, slope)


class _StraightThrough(torch.autograd.Function):
    """Forward: quantized values given; backward: the upstream gradient, masked, and that of a learned parameter."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, _: Tensor | None, trip: RoundTrip) -> Tensor:
        ctx.inside, ctx.slope, ctx.dtype = trip.inside, trip.slope, x.dtype
        return trip.values.view_as(trip.values)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor | None, None]:
        gradient, inside, slope = gradients[0], ctx.inside, ctx.slope
        of_parameter = None
        if slope is not None:
            of_parameter = (gradient.reshape(slope.shape) * slope).sum(dim=-1).flatten()
        passed = gradient if inside is None else gradient * inside
        return passed.to(ctx.dtype), of_parameter, None


def straight_through(x: Tensor, trip: RoundTrip, parameter: Tensor | None = None) -> Tensor:
    """`trip.values`, differentiated as if they were `x` where the gradient passes."""
    result = _StraightThrough.apply(x, parameter, trip)  # type: ignore[no-untyped-call]
    assert isinstance(result, Tensor)
    return result


class ActivationFakeQuantize(nn.Module):
    """Quantizes activations on the fly: every call sees its own scales, or all the learned one.

    Args:
        quantizer: the grid; `active` is what is used now, another or none on the way of a schedule. A learned
            `parameter` is NaN until `calibration`.
    """

    def __init__(self, quantizer: Quantizer) -> None:
        super().__init__()
        self.quantizer, self.calibrating = quantizer, False
        self.active: Quantizer | None = quantizer
        self.parameter = nn.Parameter(torch.full((1,), math.nan)) if quantizer.learned else None

    def forward(self, x: Tensor) -> Tensor:
        """Quantized `x`, same shape, fp32 at least."""
        if self.calibrating and self.parameter is not None:
            with torch.no_grad():
                self.parameter.copy_(self.quantizer.initial(self.quantizer.blocks.split(x.float())).flatten())
        if self.active is not self.quantizer and self.parameter is not None:
            x = x + _nothing(self.parameter, x)
        if self.active is None:
            return x
        parameter = self.parameter if self.active is self.quantizer else None
        with torch.no_grad():
            trip = round_trip(x, self.active, parameter)
        return straight_through(x, trip, parameter)

    def use(self, quantizer: Quantizer | None) -> None:
        """Quantize to another grid from now on, or not at all; its own brings back its learned scale."""
        self.active = self.quantizer if quantizer == self.quantizer else quantizer


@contextmanager
def calibration(model: nn.Module) -> Iterator[None]:
    """Forward passes inside set the learned scales of activations to what they see; the last one counts."""
    modules = [module for module in model.modules() if isinstance(module, ActivationFakeQuantize)]
    for module in modules:
        module.calibrating = True
    try:
        yield
    finally:
        for module in modules:
            module.calibrating = False


def learns_activations(model: nn.Module) -> bool:
    """Whether a prepared model needs `calibration` before its first step."""
    return any(isinstance(m, ActivationFakeQuantize) and m.parameter is not None for m in model.modules())


class WeightFakeQuantize(nn.Module):
    """Quantizes one weight once per optimiser step for all its users and micro-batches.

    The result is kept until `drop_weight_cache` says that the weight has changed. Under ZeRO-3, where whole parameters
    exist only for moments, `caching` is off: it is kept until the layer's forward has ended, because some models look
    at a weight's type before they use it.

    Args:
        quantizer: the grid; `active` is what is used now, another or none on the way of a schedule.
        weight: the shadow weight, from which a learned parameter starts; `parameter` is flat, one value per block.
    """

    def __init__(self, quantizer: Quantizer, weight: Tensor) -> None:
        super().__init__()
        self.quantizer, self.caching = quantizer, True
        self.active: Quantizer | None = quantizer
        self.parameter: nn.Parameter | None = None
        if quantizer.learned:
            start = quantizer.initial(quantizer.blocks.split(weight.detach()))
            self.parameter = nn.Parameter(start.flatten())
        self._cached: tuple[Any, RoundTrip] | None = None

    def forward(self, weight: Tensor) -> Tensor:
        """Quantized `weight`, same shape."""
        shadow = weight
        if self.active is not self.quantizer and self.parameter is not None:
            weight = weight + _nothing(self.parameter, weight)
        if self.active is None:
            return weight
        parameter = self.parameter if self.active is self.quantizer else None
        # Any in-place change that autograd knows of, a move and inference mode make the cache stale, too. Of a weight
        # that is gathered for moments only the shape says whether it is whole; where it lies means nothing.
        identity = (_identity(shadow), _identity(parameter)) if self.caching else (weight.shape, weight.dtype)
        key = (identity, torch.is_inference_mode_enabled())
        if self._cached is None or self._cached[0] != key:
            with torch.no_grad():
                trip = round_trip(weight.detach(), self.active, parameter)
            self._cached = (key, trip)
        else:
            trip = self._cached[1]
        return straight_through(weight, trip, parameter)

    def use(self, quantizer: Quantizer | None) -> None:
        """Quantize to another grid from now on, or not at all; the weight's own brings back its learned scale."""
        self.active = self.quantizer if quantizer == self.quantizer else quantizer
        self.drop_cache()

    def used(self) -> None:
        """The forward of a layer that reads the weight has ended."""
        if not self.caching:
            self.drop_cache()

    def drop_cache(self) -> None:
        """The weight has changed."""
        self._cached = None


def drop_weight_cache(model: nn.Module) -> None:
    """Forget quantized weights after a parameter update."""
    for module in model.modules():
        if isinstance(module, WeightFakeQuantize):
            module.drop_cache()


def set_weight_caching(model: nn.Module, enabled: bool) -> None:
    """Switch the reuse of quantized weights on or off (off under ZeRO-3)."""
    for module in model.modules():
        if isinstance(module, WeightFakeQuantize):
            module.caching = enabled
            module.drop_cache()


def _nothing(parameter: Tensor, like: Tensor) -> Tensor:
    """Zero, whose gradient is zero, not none: Adam counts its steps alike under every engine and number of ranks."""
    return (0.0 * parameter.sum()).to(like.dtype)


def _identity(tensor: Tensor | None) -> Any:
    return None if tensor is None else (tensor.data_ptr(), tensor._version, tensor.dtype)
