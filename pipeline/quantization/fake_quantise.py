"""Fake quantisation: round to the grid, stay in float, and let gradients through.

Straight-through estimator: the gradient of the rounded value is the gradient of the value itself, and zero where a
value lies outside the clip.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from pipeline.quantization.quantisers import Quantiser


def round_trip(x: Tensor, quantiser: Quantiser) -> tuple[Tensor, Tensor | None]:
    """The quantised values of a tensor, and where its gradient passes (None: everywhere)."""
    with torch.autocast(x.device.type, enabled=False):
        x = x.float() if x.dtype in (torch.bfloat16, torch.float16) else x
        codes, scale = quantiser.grid(x)
        inside = None if quantiser.clip_value is None else x.abs() <= quantiser.clip_value
        return codes.mul_(scale), inside


class _StraightThrough(torch.autograd.Function):
    """Forward: quantised values given; backward: the upstream gradient, masked."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, quantised: Tensor, inside: Tensor | None) -> Tensor:
        ctx.inside, ctx.dtype = inside, x.dtype
        return quantised.view_as(quantised)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        gradient = gradients[0] if ctx.inside is None else gradients[0] * ctx.inside
        return gradient.to(ctx.dtype), None, None


def straight_through(x: Tensor, quantised: Tensor, inside: Tensor | None) -> Tensor:
    """`quantised`, differentiated as if it were `x` where `inside` is true."""
    result = _StraightThrough.apply(x, quantised, inside)  # type: ignore[no-untyped-call]
    assert isinstance(result, Tensor)
    return result


class ActivationFakeQuantise(nn.Module):
    """Quantises activations on the fly; every call sees its own scales."""

    def __init__(self, quantiser: Quantiser) -> None:
        super().__init__()
        self.quantiser = quantiser

    def forward(self, x: Tensor) -> Tensor:
        """Quantised `x`, same shape, fp32 at least."""
        with torch.no_grad():
            quantised, inside = round_trip(x, self.quantiser)
        return straight_through(x, quantised, inside)


class WeightFakeQuantise(nn.Module):
    """Quantises one parameter once per optimiser step for all its users and micro-batches.

    The result is kept until `drop_weight_cache` says that the parameter has changed. Under ZeRO-3, where whole
    parameters exist only for moments, `caching` is off.
    """

    def __init__(self, quantiser: Quantiser) -> None:
        super().__init__()
        self.quantiser, self.caching = quantiser, True
        self._cached: tuple[Any, Tensor, Tensor | None] | None = None

    def forward(self, weight: Tensor) -> Tensor:
        """Quantised `weight`, same shape."""
        # Any in-place change that autograd knows of, a move and inference mode make the cache stale, too.
        key = (weight.data_ptr(), weight._version, weight.dtype, torch.is_inference_mode_enabled())
        if self._cached is None or self._cached[0] != key:
            with torch.no_grad():
                quantised, inside = round_trip(weight.detach(), self.quantiser)
            cached = (key, quantised, inside)
            self._cached = cached if self.caching else None
        else:
            cached = self._cached
        return straight_through(weight, cached[1], cached[2])

    def drop_cache(self) -> None:
        """The parameter has changed."""
        self._cached = None


def drop_weight_cache(model: nn.Module) -> None:
    """Forget quantised weights after a parameter update."""
    for module in model.modules():
        if isinstance(module, WeightFakeQuantise):
            module.drop_cache()


def set_weight_caching(model: nn.Module, enabled: bool) -> None:
    """Switch the reuse of quantised weights on or off (off under ZeRO-3)."""
    for module in model.modules():
        if isinstance(module, WeightFakeQuantise):
            module.caching = enabled
            module.drop_cache()
