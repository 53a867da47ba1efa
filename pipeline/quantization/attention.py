"""Attention whose queries, keys, values and probabilities are quantized.

`models/` registers `quantized_attention` with transformers; the model's file is not forked.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from pipeline.quantization.fake_quantize import ActivationFakeQuantize
from pipeline.quantization.scheme import Scheme


class AttentionFakeQuantize(nn.Module):
    """The four activation quantizers of one attention module, and the order of dropout and quantization.

    Probabilities are quantized, then dropped: a student trains on the grid that it will be evaluated on, and on average
    over the draws it reads the quantized probability. As published they are dropped, then quantized: where the largest
    of those that share a scale is dropped, the grid is another one.
    """

    def __init__(self, scheme: Scheme) -> None:
        super().__init__()
        operands, probabilities = scheme.activation_quantizer(), scheme.probability_quantizer()
        assert operands is not None and probabilities is not None
        self.query, self.key, self.value = (ActivationFakeQuantize(operands) for _ in range(3))
        self.probabilities = ActivationFakeQuantize(probabilities)
        self.drops_first = scheme.quantization.as_published

    def use(self, scheme: Scheme) -> None:
        """Quantize to the grids of another scheme from now on, or not at all."""
        for operand in (self.query, self.key, self.value):
            operand.use(scheme.activation_quantizer())
        self.probabilities.use(scheme.probability_quantizer())


def quantized_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    position_bias: Tensor | None = None,
    **_: Any,
) -> tuple[Tensor, Tensor]:
    """Scaled dot-product attention on quantized operands.

    Args:
        module: the attention module; `module.attention_quantize` holds the quantizers.
        query: (batch, heads, queries, head width).
        key: (batch, heads, keys, head width).
        value: like `key`.
        attention_mask: additive, broadcastable to (batch, heads, queries, keys).
        scaling: factor of the queries; default head width ** -0.5.
        dropout: probability of dropping an attention weight in training.
        position_bias: added to the scores like the mask (T5's relative positions).

    Returns:
        output (batch, queries, heads, head width) and the probabilities before dropout and quantization, which are
        distilled.
    """
    quantize = module.attention_quantize
    assert isinstance(quantize, AttentionFakeQuantize)
    factor = query.size(-1) ** -0.5 if scaling is None else scaling
    scores = torch.matmul(quantize.query(query * factor), quantize.key(key).transpose(2, 3))
    for added in (position_bias, attention_mask):
        if added is not None:
            scores = scores + added
    probabilities = scores.softmax(dim=-1)
    if quantize.drops_first:
        weights = quantize.probabilities(nn.functional.dropout(probabilities, p=dropout, training=module.training))
    else:
        weights = nn.functional.dropout(quantize.probabilities(probabilities), p=dropout, training=module.training)
    output = torch.matmul(weights, quantize.value(value))
    return output.transpose(1, 2).contiguous(), probabilities
