"""Quantizers: blocks of a tensor -> integer codes, scales and offsets. The gradient is in `fake_quantize.py`.

A value is (code - zero) x scale. Scales keep 16 significant bits (8 in groups, which are stored as bf16) and
`code - zero` has at most 8, so values lie exactly on the grid in fp32: quantizing twice changes nothing, and a packed
model computes the very numbers that training saw.
Quantizers with a learned scale are in `learned.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from pipeline.config.errors import NonFiniteError
from pipeline.quantization.blocks import ROW, Blocks

# Smaller scales make no difference to any model and would divide by zero on all-zero rows.
MIN_SCALE = 1e-30
SHRINK = 2.0**-32
TERNARY_BITS = 1.58  # three levels, stored five to a byte


class Grid(NamedTuple):
    """A quantized tensor in blocks: value = (code - zero) x scale, or code / scale as published."""

    codes: Tensor  # integers as floats, (..., n)
    scale: Tensor  # (..., 1)
    zero: Tensor | float = 0.0  # (..., 1) or a constant
    inside: Tensor | None = None  # where the gradient passes; None: everywhere
    divides: bool = False

    def values(self) -> Tensor:
        """The quantized values, in blocks."""
        if self.divides:
            return self.codes / self.scale
        if isinstance(self.zero, float) and self.zero == 0.0:
            return self.codes * self.scale
        return (self.codes - self.zero) * self.scale


class Quantizer(Protocol):
    """Maps a float tensor onto a grid; what is equal maps alike."""

    def __hash__(self) -> int:
        """Settings that do not change."""
        ...

    @property
    def bits(self) -> float:
        """Bits of a code: 1, 1.58 (ternary), 2, 3, 4 or 8; codes lie in -2^(bits-1) .. 2^(bits-1) - 1."""
        ...

    @property
    def blocks(self) -> Blocks:
        """Which values share a scale."""
        ...

    @property
    def learned(self) -> bool:
        """Whether there is a learned parameter, one value per block."""
        ...

    def initial(self, x: Tensor) -> Tensor:
        """The learned parameter at the start, (..., 1)."""
        ...

    def grid(self, x: Tensor, parameter: Tensor | None = None) -> Grid:
        """Quantize blocks (..., n) under the learned parameter, if there is one."""
        ...

    def slope_factor(self, x: Tensor, parameter: Tensor) -> Tensor:
        """What turns the gradient of the scale into that of the learned parameter, (..., 1)."""
        ...


class Stateless:
    """Mix-in: nothing is learned."""

    learned = False

    def initial(self, x: Tensor) -> Tensor:
        """Nothing to start with."""
        raise TypeError(f"{self} learns nothing")

    def slope_factor(self, x: Tensor, parameter: Tensor) -> Tensor:
        """Nothing to differentiate."""
        raise TypeError(f"{self} learns nothing")


@dataclass(frozen=True, kw_only=True)
class Symmetric(Stateless):
    """Uniform grid around zero, scaled to the largest absolute value.

    Levels -(2^(b-1) - 1) .. 2^(b-1) - 1; unsigned: 0 .. 2^b - 1.

    Args:
        bits: bits of a code, two at least.
        blocks: which values share a scale.
        clip_value: values are clipped to +-this first; the gradient is that of `_inside`.
        signed: false for tensors without negative values.
        as_published: the arithmetic of DQ-BART's code: multiply and divide by the scale's inverse, in all its
            bits; products of codes make ties, so that the last bit decides which way a value is rounded. No gradient
            at the clip itself.
    """

    bits: int
    blocks: Blocks = ROW
    clip_value: float | None = None
    signed: bool = True
    as_published: bool = False

    def grid(self, x: Tensor, parameter: Tensor | None = None) -> Grid:
        """See `Quantizer.grid`."""
        highest = 2 ** (self.bits - 1) - 1 if self.signed else 2**self.bits - 1
        largest = _largest(x)
        if self.clip_value is not None:
            largest = largest.clamp_max(self.clip_value)
        if self.as_published:
            clipped = x if self.clip_value is None else x.clamp(-self.clip_value, self.clip_value)
            inverse = highest / largest.clamp_min(MIN_SCALE)
            codes = (clipped * inverse).round_()
            inside = _inside(x, self.clip_value, as_published=True)
            return Grid(codes, inverse, inside=inside, divides=True)
        scale = round_scale(largest / highest, self.blocks)
        codes = (x / scale).round_().clamp_(-highest if self.signed else 0, highest)
        return Grid(codes, scale, inside=_inside(x, self.clip_value))


@dataclass(frozen=True, kw_only=True)
class Asymmetric(Stateless):
    """Uniform grid from the smallest to the largest value, zero included exactly.

    Levels 0 .. 2^b - 1 from an integer zero point on, for values that lie on one side, such as GELU's.

    Args:
        bits: bits of a code.
        blocks: which values share a scale.
        clip_value: values are clipped to +-this first; the gradient is that of `_inside`.
    """

    bits: int
    blocks: Blocks = ROW
    clip_value: float | None = None

    def grid(self, x: Tensor, parameter: Tensor | None = None) -> Grid:
        """See `Quantizer.grid`."""
        highest, half = 2**self.bits - 1, 2 ** (self.bits - 1)
        if x.size(-1) == 0:
            return Grid(x, x.new_full((*x.shape[:-1], 1), MIN_SCALE))
        limit = float("inf") if self.clip_value is None else self.clip_value
        lowest, largest = torch.aminmax(x, dim=-1, keepdim=True)
        lowest, largest = lowest.clamp(-limit, 0.0), largest.clamp(0.0, limit)
        # Scale rounded down, halves up on both sides: both ends are levels, and quantizing twice changes nothing.
        scale = round_scale(largest / highest - lowest / highest, self.blocks, down=True)
        zero = highest - (largest / scale + 0.5).floor_().clamp_(0, highest)
        codes = ((x / scale + 0.5).floor_() + zero).clamp_(0, highest)
        return Grid(codes - half, scale, zero - half, _inside(x, self.clip_value))


@dataclass(frozen=True, kw_only=True)
class Ternary(Stateless):
    """{-a, 0, a} after Ternary Weight Networks: D = 0.7 mean|w|, a = mean of |w| above D (Li et al. 2016).

    Args:
        blocks: which values share threshold and scale.
        clip_value: values are clipped to +-this first; the gradient is that of `_inside`.
        bits: how codes are stored: 2, or 1.58 for five in a byte.
        as_published: keep all bits of the scale; no gradient at the clip itself.
    """

    blocks: Blocks = ROW
    clip_value: float | None = None
    bits: float = 2
    as_published: bool = False

    def grid(self, x: Tensor, parameter: Tensor | None = None) -> Grid:
        """See `Quantizer.grid`."""
        clipped = x if self.clip_value is None else x.clamp(-self.clip_value, self.clip_value)
        # Exactly scaled down by a power of two: the sum of a row of huge weights would overflow.
        size = clipped.abs().mul_(SHRINK)
        # A mean, never norm(p=1)/n: over a whole matrix fp32 gets it 4e-4 wrong on a CPU.
        threshold = (0.7 * mean_of(size)).clamp_max_(torch.finfo(x.dtype).max)
        above = ~(size <= threshold)  # written so that NaN and infinity are above, and are seen
        kept, count = torch.where(above, size, 0.0), above.to(x.dtype)
        scale = kept.sum(dim=-1, keepdim=True) / count.sum(dim=-1, keepdim=True).clamp_min(1.0) / SHRINK
        scale = scale.clamp_min(MIN_SCALE) if self.as_published else round_scale(scale, self.blocks)
        return Grid(torch.sign(clipped) * count, scale, inside=_inside(x, self.clip_value, self.as_published))


@dataclass(frozen=True, kw_only=True)
class Elastic(Stateless):
    """Weights of TBT (Liu et al. 2023), without subtracting the mean, as its released code does.

    One bit: a x sign(w), a = mean|w|. Ternary: a x round(clip(w / a, -1, 1)), a = 4/3 mean|w|; the gradient is the
    identity.

    Args:
        bits: 1, or 2 or 1.58 for ternary.
        blocks: which values share a scale.
    """

    bits: float
    blocks: Blocks = ROW

    def grid(self, x: Tensor, parameter: Tensor | None = None) -> Grid:
        """See `Quantizer.grid`."""
        mean = mean_of(x.abs().mul_(SHRINK)) / SHRINK
        if self.bits == 1:
            scale = round_scale(2.0 * mean, self.blocks)
            below = torch.where(x < 0, -1.0, x * 0.0)  # x * 0 keeps NaN and infinity visible
            return Grid(below.to(x.dtype), scale, -0.5)
        scale = round_scale(4.0 / 3.0 * mean, self.blocks)
        return Grid((x / scale).clamp_(-1.0, 1.0).round_(), scale)


def quantize(x: Tensor, quantizer: Quantizer, parameter: Tensor | None = None) -> Grid:
    """The grid of a finite tensor, codes as int16, gradient mask left out.

    Raises:
        NonFiniteError: the tensor or the learned parameter holds NaN or infinity.
    """
    for tensor in (x, parameter):
        if tensor is not None and not torch.isfinite(tensor).all():
            raise NonFiniteError("a tensor to be quantized holds NaN or infinite values")
    grid = grid_of(x, quantizer, parameter)
    return grid._replace(codes=grid.codes.to(torch.int16), inside=None)


def grid_of(x: Tensor, quantizer: Quantizer, parameter: Tensor | None = None) -> Grid:
    """The grid of a whole tensor; the learned parameter is flat, one value per block."""
    blocks = quantizer.blocks.split(x)
    if parameter is not None:
        parameter = parameter.view(*blocks.shape[:-1], 1)
    return quantizer.grid(blocks, parameter)


def round_scale(scale: Tensor, blocks: Blocks = ROW, down: bool = False) -> Tensor:
    """The nearest (or next lower) scale with as many significant bits as its blocks allow, at least `MIN_SCALE`."""
    scale = scale.clamp_min(MIN_SCALE)
    if scale.dtype == torch.float64:
        integer, mantissa_bits = torch.int64, 53
    else:
        integer, mantissa_bits = torch.int32, 24
    dropped = mantissa_bits - blocks.scale_bits
    half = 0 if down else 1 << (dropped - 1)
    return ((scale.view(integer) + half) & ~((1 << dropped) - 1)).view(scale.dtype)


def mean_of(x: Tensor) -> Tensor:
    """Mean over a block; zero of an empty one."""
    return x.sum(dim=-1, keepdim=True) / max(x.size(-1), 1)


def _largest(x: Tensor) -> Tensor:
    if x.size(-1) == 0:
        return x.new_zeros((*x.shape[:-1], 1))
    return x.abs().amax(dim=-1, keepdim=True)


def _inside(x: Tensor, clip_value: float | None, as_published: bool = False) -> Tensor | None:
    """Where the gradient passes under a clip.

    Ours: within it and at it, like that of `torch.clamp` and of the learned quantizers: a value at the clip is a level
    of the grid and loses nothing, and with a gradient it can come back. DQ-BART's code: within only. It makes a
    difference: a probability quantized to 1 times a clipped value lies at the clip.
    """
    if clip_value is None:
        return None
    return x.abs() < clip_value if as_published else x.abs() <= clip_value
