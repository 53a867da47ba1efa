"""Fake-quantized linear and embedding layers.

A layer keeps its class, its forward and its parameter: only `weight` is read through the quantizer. So shadow weights
keep their names in the state dict, tied weights stay tied, and any family's embedding (scaled, with an offset) works
as it is.
"""

from __future__ import annotations

import functools
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from pipeline.quantization.fake_quantize import ActivationFakeQuantize, WeightFakeQuantize


class FakeQuantizedWeight:
    """Mix-in: `weight` is the quantized value of the shadow parameter of the same name."""

    weight_quantize: WeightFakeQuantize
    _parameters: dict[str, Any]

    @property
    def weight(self) -> Tensor:
        """Quantized weight, differentiable with respect to the shadow weight."""
        return self.weight_quantize(self._parameters["weight"])  # type: ignore[no-any-return]

    def forward(self, *inputs: Any, **named: Any) -> Any:
        """The layer's own, which reads `weight`."""
        try:
            return super().forward(*inputs, **named)  # type: ignore[misc]
        finally:
            self.weight_quantize.used()

    @property
    def shadow_weight(self) -> nn.Parameter:
        """The full-precision parameter that the optimiser updates."""
        return self._parameters["weight"]  # type: ignore[no-any-return]


class QuantizedInput:
    """Mix-in: the layer's input is quantized."""

    activation_quantize: ActivationFakeQuantize

    def forward(self, x: Tensor) -> Tensor:
        """The layer applied to quantized input."""
        return super().forward(self.activation_quantize(x))  # type: ignore[misc,no-any-return]


class BiasApart:
    """Mix-in: a linear layer adds its bias to the product, rounded already, as DQ-BART's code does.

    In one operation the last bit may be another one, which decides the ties of what is quantized next.
    """

    weight: Tensor
    bias: Tensor | None

    def forward(self, x: Tensor) -> Tensor:
        """The layer, in two operations; the result has the product's type."""
        product = functional.linear(x, self.weight)
        if self.bias is not None:
            product += self.bias
        return product


def mixins_of(layer: nn.Module) -> tuple[type, ...]:
    """The mix-ins that a layer has been given."""
    return layer.__dict__.get("mixins", ())  # type: ignore[no-any-return]


def set_mixins(layer: nn.Module, mixins: tuple[type, ...]) -> None:
    """Make a layer's class its plain class plus exactly these mix-ins, in place."""
    plain = layer.__dict__.setdefault("plain_class", type(layer))
    layer.__dict__["mixins"] = mixins
    layer.__class__ = _mixed_class(*mixins, plain)


def fake_quantize_weight(layer: nn.Module, quantize: WeightFakeQuantize) -> None:
    """Let a linear or embedding layer read its weight through a quantizer, in place."""
    layer.weight_quantize = quantize
    set_mixins(layer, (*mixins_of(layer), FakeQuantizedWeight))


def fake_quantize_input(layer: nn.Module, quantize: ActivationFakeQuantize, bias_apart: bool = False) -> None:
    """Quantize what a linear layer is given, in place."""
    layer.activation_quantize = quantize
    set_mixins(layer, (*mixins_of(layer), QuantizedInput, *([BiasApart] if bias_apart else [])))


@functools.cache
def _mixed_class(*bases: type) -> type:
    """One class per combination of mix-ins and layer class."""
    return type("".join(base.__name__ for base in bases), bases, {})
