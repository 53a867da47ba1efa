"""Position biases that attention layers share (T5), for layers that have different heads left.

T5's first layer computes the bias of all heads, (1, heads, queries, keys), uses it and hands it on; the others use what
they are given. So the whole bias keeps travelling, the table that it comes from stays whole, and each layer uses the
part of its own heads.
"""

from __future__ import annotations

import inspect
from typing import Any

from torch import Tensor, nn

from pipeline.quantization.layers import mixins_of, set_mixins


class PartOfPositionBias:
    """Mix-in of an attention module: uses the bias of its own heads, hands on the whole."""

    bias_heads: tuple[int, ...]  # which heads of the whole bias are left here
    _computed: Tensor | None

    def compute_bias(self, *inputs: Any, **options: Any) -> Tensor:
        """The bias of the heads that are left, (1, heads, queries, keys); only a first layer is asked."""
        self._computed = super().compute_bias(*inputs, **options)  # type: ignore[misc]
        return self._part(self._computed)

    def forward(self, *inputs: Any, position_bias: Tensor | None = None, **options: Any) -> tuple[Any, ...]:
        """The attention's outputs, with the whole bias in second place.

        Where there is no bias (attention to the encoder), None is handed on in place of zeros: a layer makes zeros for
        as many heads as it has.
        """
        self._computed = position_bias
        part = None if position_bias is None else self._part(position_bias)
        output, _, *others = super().forward(*inputs, position_bias=part, **options)  # type: ignore[misc]
        whole, self._computed = self._computed, None
        return output, whole, *others

    def _part(self, whole: Tensor) -> Tensor:
        # A list, not a buffer: nothing to load where a pruned model is built on the meta device.
        return whole[:, list(self.bias_heads)]


def has_unknown_bias(attention: nn.Module) -> bool:
    """Whether an attention has a bias per head that it does not share (UMT5)."""
    return hasattr(attention, "relative_attention_bias") and not _takes_bias(attention)


def keep_part_of_bias(attention: nn.Module, heads: list[int]) -> None:
    """Let an attention module use the kept heads' part of a bias that it is given; others stay as they are.

    Args:
        attention: the module.
        heads: which of the heads that it has are kept.
    """
    if isinstance(attention, PartOfPositionBias):
        attention.bias_heads = tuple(attention.bias_heads[head] for head in heads)
    elif _takes_bias(attention):
        set_mixins(attention, (PartOfPositionBias, *mixins_of(attention)))
        attention.__dict__["bias_heads"] = tuple(heads)


def _takes_bias(attention: nn.Module) -> bool:
    return "position_bias" in inspect.signature(type(attention).forward).parameters
