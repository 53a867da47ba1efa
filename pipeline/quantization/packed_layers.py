"""Layers whose weight is packed integers, and the conversion of a fake-quantised model into them.

Codes and scales are those of the training quantiser and the arithmetic is the same, so a packed model gives the very
outputs of the fake-quantised one.
"""

from __future__ import annotations

from torch import Tensor, nn

from pipeline.quantization.fake_quantise import WeightFakeQuantise
from pipeline.quantization.layers import FakeQuantisedWeight, mixins_of, set_mixins
from pipeline.quantization.packing import pack, unpack
from pipeline.quantization.prepare import Sites, quantised_weights
from pipeline.quantization.quantisers import quantise
from pipeline.quantization.scheme import Scheme


class PackedWeight(nn.Module):
    """One packed matrix: bytes of codes and scales; shared by all layers that are tied to it.

    Args:
        codes: uint8 bytes of `packing.pack`.
        scale: fp32, (rows, 1) or ().
        bits: bits of a code.
        shape: shape of the matrix.
    """

    codes: Tensor
    scale: Tensor

    def __init__(self, codes: Tensor, scale: Tensor, bits: int, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.register_buffer("codes", codes)
        self.register_buffer("scale", scale)
        self.bits, self.shape = bits, shape
        self._value: Tensor | None = None

    def value(self) -> Tensor:
        """The matrix in float; unpacked once per device, not once per decoding step."""
        if self._value is None or self._value.device != self.codes.device:
            codes = unpack(self.codes.cpu(), self.bits, self.shape).to(self.scale.device)
            self._value = codes.to(self.scale.dtype) * self.scale
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
            packed[id(quantiser)] = _pack_weight(layer.shadow_weight.detach(), quantiser)
        _attach(layer, packed[id(quantiser)])


def attach_packed(model: nn.Module, weights: dict[str, PackedWeight]) -> None:
    """Give the named modules of a plain model packed weights instead of their parameters, in place."""
    for name, weight in weights.items():
        _attach(model.get_submodule(name), weight)


def packed_weights(model: nn.Module) -> dict[str, PackedWeight]:
    """Every layer's packed weight by module name; tied layers share one object."""
    layers = dict(model.named_modules()).items()
    return {name: layer.packed for name, layer in layers if isinstance(layer, HasPackedWeight)}


def _pack_weight(weight: Tensor, quantise_weight: WeightFakeQuantise) -> PackedWeight:
    quantiser = quantise_weight.quantiser
    codes, scale = quantise(weight.cpu(), quantiser)
    device = weight.device
    return PackedWeight(pack(codes, quantiser.bits).to(device), scale.to(device), quantiser.bits, tuple(weight.shape))


def _attach(layer: nn.Module, weight: PackedWeight) -> None:
    del layer._parameters["weight"]
    if isinstance(layer, FakeQuantisedWeight):
        del layer.weight_quantise
    layer.packed = weight
    kept = tuple(mixin for mixin in mixins_of(layer) if mixin is not FakeQuantisedWeight)
    set_mixins(layer, (HasPackedWeight, *kept))
