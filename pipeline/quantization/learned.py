"""Quantizers whose scale is learned: one parameter per block, updated with the shadow weights.

The parameter is the logarithm of the scale: it cannot become negative, and one learning rate suits every size.

All share one straight-through gradient. With v = scale x f(x / scale), rounding taken for the identity inside the range
and the range's end constant outside, dv/dscale is (v - x) / scale inside and v / scale outside (LSQ, Esser 2020). The
range is closed: a value at its end is inside.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.quantization.blocks import ROW, TENSOR, Blocks
from pipeline.quantization.quantizers import MIN_SCALE, SHRINK, Grid, Quantizer, mean_of, round_scale

PARTS = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3)


@dataclass(frozen=True, kw_only=True)
class LearnedStep:
    """LSQ: levels -2^(b-1) .. 2^(b-1) - 1 times a learned step (Esser et al. 2020).

    The step starts at 2 mean|x| / sqrt(2^(b-1) - 1), or a part of it with less squared error; its gradient is divided
    by sqrt(n (2^(b-1) - 1)).

    Args:
        bits: bits of a code, two at least.
        blocks: which values share a step.
    """

    bits: int
    blocks: Blocks = ROW
    learned: bool = True

    def initial(self, x: Tensor) -> Tensor:
        """See `Quantizer.initial`."""
        return least_error(self, x, (2.0 * mean_size(x) / math.sqrt(2 ** (self.bits - 1) - 1)).log())

    def grid(self, x: Tensor, parameter: Tensor | None = None) -> Grid:
        """See `Quantizer.grid`."""
        assert parameter is not None
        scale = round_scale(parameter.exp(), self.blocks)
        steps, lowest, highest = x / scale, -(2 ** (self.bits - 1)), 2 ** (self.bits - 1) - 1
        inside = (steps >= lowest) & (steps <= highest)
        return Grid(steps.clamp_(lowest, highest).round_(), scale, inside=inside)

    def slope_factor(self, x: Tensor, parameter: Tensor) -> Tensor:
        """See `Quantizer.slope_factor`."""
        return parameter.exp() / math.sqrt(max(x.size(-1), 1) * (2 ** (self.bits - 1) - 1))


@dataclass(frozen=True, kw_only=True)
class StretchedElastic:
    """SEQ of ParetoQ (Liu et al. 2025): four levels a {-3/4, -1/4, 1/4, 3/4}, or three, a {-2/3, 0, 2/3}.

    The scale starts at max|x|, or a part of it with less squared error; its gradient is divided by sqrt(n).

    Args:
        bits: 2 for four levels, 1.58 for three.
        blocks: which values share a scale.
    """

    bits: float
    blocks: Blocks = ROW
    learned: bool = True

    @property
    def _steps_per_scale(self) -> float:
        return 2.0 if self.bits == 2 else 1.5

    def initial(self, x: Tensor) -> Tensor:
        """See `Quantizer.initial`."""
        if x.size(-1) == 0:
            return x.new_full((*x.shape[:-1], 1), MIN_SCALE).log()
        return least_error(self, x, x.abs().amax(dim=-1, keepdim=True).clamp_min(MIN_SCALE).log())

    def grid(self, x: Tensor, parameter: Tensor | None = None) -> Grid:
        """See `Quantizer.grid`."""
        assert parameter is not None
        shift = 0.5 if self.bits == 2 else 0.0
        scale = round_scale(parameter.exp() / self._steps_per_scale, self.blocks)
        bound = 0.99 * self._steps_per_scale
        steps = x / scale
        inside = steps.abs() <= bound
        return Grid((steps.clamp_(-bound, bound) - shift).round_(), scale, -shift, inside)

    def slope_factor(self, x: Tensor, parameter: Tensor) -> Tensor:
        """See `Quantizer.slope_factor`."""
        return parameter.exp() / (self._steps_per_scale * math.sqrt(max(x.size(-1), 1)))


@dataclass(frozen=True, kw_only=True)
class AnchoredClip:
    """QuantBART's clip (Tao et al. 2022): a = gamma mean|x| with gamma learned; uniform levels within +-a.

    Ternary rounds to {-a, 0, a}. gamma starts at the candidate with the least squared error over the whole tensor (the
    published start of 1 suits ternary; at 8 bits it would cut off half of the weights).

    Args:
        bits: 1.58 or 2 (both ternary), 3, 4 or 8.
        blocks: which values share a scale.
    """

    bits: float
    blocks: Blocks = ROW
    learned: bool = True

    @property
    def _highest(self) -> int:
        return 1 if self.bits <= 2 else 2 ** (int(self.bits) - 1) - 1

    def initial(self, x: Tensor) -> Tensor:
        """See `Quantizer.initial`."""
        ones = torch.ones_like(mean_size(x))

        def error(gamma: float) -> float:
            return float((self.grid(x, (gamma * ones).log()).values() - x).double().square().sum())

        return (ones * min((1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0), key=error)).log()

    def grid(self, x: Tensor, parameter: Tensor | None = None) -> Grid:
        """See `Quantizer.grid`."""
        assert parameter is not None
        highest = self._highest
        scale = round_scale(parameter.exp() * mean_size(x) / highest, self.blocks)
        steps = x / scale
        inside = steps.abs() <= highest
        return Grid(steps.clamp_(-highest, highest).round_(), scale, inside=inside)

    def slope_factor(self, x: Tensor, parameter: Tensor) -> Tensor:
        """See `Quantizer.slope_factor`."""
        return parameter.exp() * mean_size(x) / self._highest


@dataclass(frozen=True, kw_only=True)
class ElasticStep:
    """Activations with a learned step, one for a whole tensor (TBT: Liu et al. 2023).

    Levels -(2^(b-1) - 1) .. 2^(b-1) - 1, at 2 bits {-a, 0, a}; unsigned, for what has no negative values: 0 .. 2^b - 1
    (the paper's ternary stops at 2). The step starts at 2 mean|x| / sqrt(Q), unsigned at twice that; its gradient is
    divided by sqrt(Q); Q is the highest level. (The paper divides by the root of the number of values, too, which would
    make a gradient depend on how a batch is cut; losses here are means over tokens already.)

    Args:
        bits: bits of a code, two at least.
        signed: false for attention probabilities and what follows an activation function.
        blocks: a tensor.
    """

    bits: int
    signed: bool = True
    blocks: Blocks = TENSOR
    learned: bool = True

    @property
    def _highest(self) -> int:
        return int(2 ** (self.bits - 1) - 1 if self.signed else 2**self.bits - 1)

    def initial(self, x: Tensor) -> Tensor:
        """See `Quantizer.initial`."""
        return ((2.0 if self.signed else 4.0) * mean_size(x) / math.sqrt(self._highest)).log()

    def grid(self, x: Tensor, parameter: Tensor | None = None) -> Grid:
        """See `Quantizer.grid`."""
        assert parameter is not None
        scale = round_scale(parameter.exp(), self.blocks)
        steps, lowest = x / scale, -self._highest if self.signed else 0
        inside = (steps >= lowest) & (steps <= self._highest)
        return Grid(steps.clamp_(lowest, self._highest).round_(), scale, inside=inside)

    def slope_factor(self, x: Tensor, parameter: Tensor) -> Tensor:
        """See `Quantizer.slope_factor`."""
        return parameter.exp() / math.sqrt(self._highest)


def least_error(quantizer: Quantizer, x: Tensor, published: Tensor) -> Tensor:
    """The start of a learned logarithm, (..., 1): of the published one and parts of it, what has least squared error.

    A logarithm moves by about the learning rate a step, so a start that is 40 % too large, as a row's largest value is
    at two bits, would outlive a short training.
    """
    best, least = published, torch.full_like(published, math.inf)
    for part in PARTS:
        candidate = published + math.log(part)
        error = (quantizer.grid(x, candidate).values() - x).square().sum(dim=-1, keepdim=True)
        best, least = torch.where(error < least, candidate, best), torch.minimum(error, least)
    return best


def mean_size(x: Tensor) -> Tensor:
    """Mean absolute value of a block; not zero, so that a learned scale stays alive."""
    return (mean_of(x.abs().mul_(SHRINK)) / SHRINK).clamp_min(MIN_SCALE)
