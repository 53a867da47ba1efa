"""Layers whose weight is packed integers, and the conversion of a fake-quantised model into them.

Codes and scales are those of the training quantiser and the arithmetic is the same, so a packed model gives the very
outputs of the fake-quantised one.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pipeline.quantization.fake_quantise import WeightFakeQuantise
from pipeline.quantization.layers import FakeQuantisedWeight, mixins_of, set_mixins
from pipeline.quantization.packing import pack, unpack
from pipeline.quantization.prepare import Sites, quantised_weights
from pipeline.quantization.quantisers import Grid, quantise
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
        """The matrix in float; unpacked once per device, not once per decoding step."""
        if self._value is None or self._value.device != self.codes.device:
            scale = self.scale.double() if self.scale.dtype == torch.float64 else self.scale.float()
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
    for name in quantised_weights(sites, scheme):
        layer = model.get_submodule(name)
        assert isinstance(layer, FakeQuantisedWeight)
        quantiser = layer.weight_quantise
        if id(quantiser) not in packed:
            packed[id(quantiser)] = pack_weight(layer.shadow_weight.detach(), quantiser)
        _attach(layer, packed[id(quantiser)])


def attach_packed(model: nn.Module, weights: dict[str, PackedWeight]) -> None:
    """Give the named modules of a plain model packed weights instead of their parameters, in place."""
    for name, weight in weights.items():
        _attach(model.get_submodule(name), weight)


def packed_weights(model: nn.Module) -> dict[str, PackedWeight]:
    """Every layer's packed weight by module name; tied layers share one object."""
    layers = dict(model.named_modules()).items()
    return {name: layer.packed for name, layer in layers if isinstance(layer, HasPackedWeight)}


def pack_weight(weight: Tensor, quantise_weight: WeightFakeQuantise) -> PackedWeight:
    """The packed form of a shadow weight under its quantiser, on the weight's device.

    The grid is made there, too: sums and exponentials of another device differ in their last bits from those that
    training saw. What follows is exact wherever it is done.

    Raises:
        NonFiniteError: it is NaN or infinite.
    """
    quantiser, learned = quantise_weight.quantiser, quantise_weight.parameter
    grid = quantise(weight, quantiser, None if learned is None else learned.detach())
    scale, zero = grid.scale, grid.zero
    if quantiser.blocks.kind == "group":
        scale = scale.to(torch.bfloat16)  # exact: it has 8 significant bits
    if isinstance(zero, Tensor):
        zero = zero.to(weight.device, torch.int8)
    codes = pack(grid.codes.cpu(), quantiser.bits)
    return PackedWeight(
        codes.to(weight.device),
        scale.to(weight.device),
        zero,
        bits=quantiser.bits,
        shape=tuple(weight.shape),
        divides=grid.divides,
    )


def _attach(layer: nn.Module, weight: PackedWeight) -> None:
    del layer._parameters["weight"]
    if isinstance(layer, FakeQuantisedWeight):
        del layer.weight_quantise
    layer.packed = weight
    kept = tuple(mixin for mixin in mixins_of(layer) if mixin is not FakeQuantisedWeight)
    set_mixins(layer, (HasPackedWeight, *kept))
