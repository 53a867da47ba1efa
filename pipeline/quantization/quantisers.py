"""Quantisers: tensor -> integer codes and scales. Stateless; the gradient is in `fake_quantise.py`.

Scales keep 16 significant bits. A code has at most 8, so code x scale is exact in fp32: quantised values lie exactly
on the grid, quantising twice changes nothing, and a packed model computes the very numbers that training saw.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from pipeline.config.errors import NonFiniteError

SCALE_SIGNIFICANT_BITS = 16
# Smaller scales make no difference to any model and would divide by zero on all-zero rows.
MIN_SCALE = 1e-30
SHRINK = 2.0**-32


class Quantiser(Protocol):
    """Maps a float tensor onto a grid."""

    @property
    def bits(self) -> int:
        """Bits of a code."""
        ...

    @property
    def clip_value(self) -> float | None:
        """Values are clipped to +-this first."""
        ...

    def grid(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Codes (as floats, same shape) and scales (broadcastable); value = code * scale."""
        ...


@dataclass(frozen=True, kw_only=True)
class Symmetric:
    """Uniform grid around zero, scaled to the largest absolute value.

    Levels -(2^(b-1) - 1) .. 2^(b-1) - 1; unsigned: 0 .. 2^b - 1.

    Args:
        bits: bits of a code.
        per_row: one scale per row (all axes but the last); otherwise one per tensor.
        clip_value: values are clipped to +-this first.
        signed: false for tensors without negative values.
    """

    bits: int
    per_row: bool
    clip_value: float | None = None
    signed: bool = True

    def grid(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """See `Quantiser.grid`."""
        highest = 2 ** (self.bits - 1) - 1 if self.signed else 2**self.bits - 1
        largest = _reduce_max(x, self.per_row)
        if self.clip_value is not None:
            largest = largest.clamp_max(self.clip_value)
        scale = round_scale(largest / highest)
        codes = (x / scale).round_().clamp_(-highest if self.signed else 0, highest)
        return codes, scale


@dataclass(frozen=True, kw_only=True)
class Ternary:
    """{-a, 0, a} after Ternary Weight Networks: D = 0.7 mean|w|, a = mean of |w| above D (PAPERS section 1.3).

    Args:
        per_row: one threshold and scale per row; otherwise one per tensor.
        clip_value: values are clipped to +-this first.
    """

    per_row: bool
    clip_value: float | None = None
    bits: int = 2

    def grid(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """See `Quantiser.grid`."""
        if self.clip_value is not None:
            x = x.clamp(-self.clip_value, self.clip_value)
        # Exactly scaled down by a power of two: the sum of a row of huge weights would overflow.
        size = x.abs().mul_(SHRINK)
        # abs().mean(), never norm(p=1)/n: that is 10 % off on large tables.
        mean = size.mean(dim=-1, keepdim=True) if self.per_row else size.mean()
        above = ~(size < 0.7 * mean)  # written so that NaN and infinity are above, and are seen
        kept, count = torch.where(above, size, 0.0), above.to(x.dtype)
        if self.per_row:
            scale = kept.sum(dim=-1, keepdim=True) / count.sum(dim=-1, keepdim=True).clamp_min(1.0)
        else:
            scale = kept.sum() / count.sum().clamp_min(1.0)
        return torch.sign(x) * count, round_scale(scale / SHRINK)


def quantise(x: Tensor, quantiser: Quantiser) -> tuple[Tensor, Tensor]:
    """Integer codes (int16, same shape) and scales of a finite tensor.

    Raises:
        NonFiniteError: the tensor holds NaN or infinity.
    """
    if not torch.isfinite(x).all():
        raise NonFiniteError("a tensor to be quantised holds NaN or infinite values")
    codes, scale = quantiser.grid(x)
    return codes.to(torch.int16), scale


def round_scale(scale: Tensor) -> Tensor:
    """The nearest positive scale with 16 significant bits, at least `MIN_SCALE`."""
    scale = scale.clamp_min(MIN_SCALE)
    if scale.dtype == torch.float64:
        integer, mantissa_bits = torch.int64, 53
    else:
        integer, mantissa_bits = torch.int32, 24
    dropped = mantissa_bits - SCALE_SIGNIFICANT_BITS
    bits = scale.view(integer)
    return ((bits + (1 << (dropped - 1))) & ~((1 << dropped) - 1)).view(scale.dtype)


def _reduce_max(x: Tensor, per_row: bool) -> Tensor:
    if x.numel() == 0:
        return x.new_zeros((*x.shape[:-1], 1) if per_row else ())
    return x.abs().amax(dim=-1, keepdim=True) if per_row else x.abs().amax()
