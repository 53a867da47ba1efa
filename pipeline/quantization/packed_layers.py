"""Layers whose weight is packed integers, and the conversion of a fake-quantized model into them.

Codes and scales are those of the training quantizer and the arithmetic is the same, so a packed model gives the very
outputs of the fake-quantized one.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pipeline.quantization.fake_quantize import WeightFakeQuantize
from pipeline.quantization.layers import FakeQuantizedWeight, mixins_of, set_mixins
from pipeline.quantization.packing import pack, unpack
from pipeline.quantization.prepare import Sites, quantized_weights
from pipeline.quantization.quantizers import Grid, quantize
from pipeline.quantization.scheme import Scheme


class PackedWeight(nn.Module):
    """One packed matrix: bytes of codes and scales; shared by all layers that are tied to it.

    Args:
        codes: uint8 bytes of `packing.pack`.
        scale: one per block, (..., 1); its shape says what the blocks are. bf16 of groups, otherwise fp32.
        zero: int8 zero points like `scale`, or one constant for all.
        divides: codes are divided by `scale`, as published.
        bits: bits of a code.
        shape: shape of the matrix.
    """

    codes: Tensor
    scale: Tensor

    def __init__(
        self,
        codes: Tensor,
        scale: Tensor,
        zero: Tensor | float,
        *,
        bits: float,
        shape: tuple[int, ...],
        divides: bool = False,
    ) -> None:
        super().__init__()
        self.register_buffer("codes", codes)
        self.register_buffer("scale", scale)
        self.zero: Tensor | float
        if isinstance(zero, Tensor):
            self.register_buffer("zero", zero)
        else:
            self.zero = zero
        self.bits, self.shape, self.divides = bits, shape, divides
        self._value: Tensor | None = None

    def value(self) -> Tensor:
        """The matrix in float; unpacked once per device and type, not once per decoding step."""
        dtype = torch.float64 if self.scale.dtype == torch.float64 else torch.float32
        if self._value is None or self._value.device != self.codes.device or self._value.dtype != dtype:
            scale = self.scale.to(dtype)
            codes = unpack(self.codes.cpu(), self.bits, self.shape).to(scale.device, scale.dtype)
            zero = self.zero.to(scale.dtype) if isinstance(self.zero, Tensor) else self.zero
            blocks = codes.view(*scale.shape[:-1], -1) if codes.numel() else codes
            self._value = Grid(blocks, scale, zero, divides=self.divides).values().view(self.shape)
        return self._value


class HasPackedWeight:
    """Mix-in: `weight` is the unpacked value."""

    packed: PackedWeight

    @property
    def weight(self) -> Tensor:
        """The unpacked matrix."""
        return self.packed.value()


def convert(model: nn.Module, sites: Sites, scheme: Scheme) -> None:
    """Turn a prepared model's shadow weights into packed integers, in place; they are gone afterwards.

    Raises:
        NonFiniteError: a weight is NaN or infinite.
    """
    packed: dict[int, PackedWeight] = {}
    for name in quantized_weights(sites, scheme):
        layer = model.get_submodule(name)
        assert isinstance(layer, FakeQuantizedWeight)
        quantizer = layer.weight_quantize
        if id(quantizer) not in packed:
            packed[id(quantizer)] = pack_weight(layer.shadow_weight.detach(), quantizer)
        _attach(layer, packed[id(quantizer)])


def attach_packed(model: nn.Module, weights: dict[str, PackedWeight]) -> None:
    """Give the named modules of a plain model packed weights instead of their parameters, in place."""
    for name, weight in weights.items():
        _attach(model.get_submodule(name), weight)


def packed_weights(model: nn.Module) -> dict[str, PackedWeight]:
    """Every layer's packed weight by module name; tied layers share one object."""
    layers = dict(model.named_modules()).items()
    return {name: layer.packed for name, layer in layers if isinstance(layer, HasPackedWeight)}


def pack_weight(weight: Tensor, quantize_weight: WeightFakeQuantize) -> PackedWeight:
    """The packed form of a shadow weight under its quantizer, on the weight's device.

    The grid is made there, too: sums and exponentials of another device differ in their last bits from those that
    training saw. What follows is exact wherever it is done.

    Raises:
        NonFiniteError: it is NaN or infinite.
    """
    quantizer, learned = quantize_weight.quantizer, quantize_weight.parameter
    grid = quantize(weight, quantizer, None if learned is None else learned.detach())
    scale, zero = grid.scale, grid.zero
    if quantizer.blocks.kind == "group":
        scale = scale.to(torch.bfloat16)  # exact: it has 8 significant bits
    if isinstance(zero, Tensor):
        zero = zero.to(weight.device, torch.int8)
    codes = pack(grid.codes.cpu(), quantizer.bits)
    return PackedWeight(
        codes.to(weight.device),
        scale.to(weight.device),
        zero,
        bits=quantizer.bits,
        shape=tuple(weight.shape),
        divides=grid.divides,
    )


def _attach(layer: nn.Module, weight: PackedWeight) -> None:
    del layer._parameters["weight"]
    if isinstance(layer, FakeQuantizedWeight):
        del layer.weight_quantize
    layer.packed = weight
    kept = tuple(mixin for mixin in mixins_of(layer) if mixin is not FakeQuantizedWeight)
    set_mixins(layer, (HasPackedWeight, *kept))
