"""Attention as operators, its operands on the grids of training."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.export.onnx.graphs.activations import Activations, fake_quantized
from pipeline.export.onnx.graphs.graph import Graph
from pipeline.export.onnx.graphs.parts import Part
from pipeline.pruning.heads import count_heads, head_width
from pipeline.quantization.prepare import AttentionSite


@dataclass(frozen=True, kw_only=True)
class Attention:
    """One attention module.

    Args:
        part: where it is built.
        site: its linears.
        scale: factor of queries.
        num_heads: heads that are left.
        width: values of a head.
        quantizers: of its operands, by role.
    """

    part: Part
    site: AttentionSite
    scale: float
    num_heads: int
    width: int
    quantizers: dict[str, Activations]

    @property
    def total(self) -> int:
        """Values of a query, key or value of all heads."""
        return self.num_heads * self.width

    @property
    def alike(self) -> bool:
        """Whether queries, keys and values can be quantized at once: the same grid, a scale per head and token."""
        three = [self.quantizers.get(role) for role in ("query", "key", "value")]
        return three[0] is not None and three.count(three[0]) == 3 and three[0].quantizer.blocks.kind == "row"

    @property
    def keeps_quantized(self) -> bool:
        """Whether a quantized key or value stays what it is when the history grows."""
        return all(
            a.step is not None or a.quantizer.blocks.kind == "row"
            for role, a in self.quantizers.items()
            if role in ("key", "value")
        )

    def quantized(self, x: str, role: str) -> str:
        """An operand on its grid."""
        activations = self.quantizers.get(role)
        return x if activations is None else fake_quantized(self.part.graph, x, activations)

    def operands(self, heads: str) -> tuple[str, str, str]:
        """Scaled queries, keys and values of (batch, 3 x heads, tokens, width), quantized."""
        graph = self.part.graph
        if self.alike:
            if self.scale != 1.0:
                factors = np.repeat([self.scale, 1.0, 1.0], self.num_heads).reshape(1, -1, 1, 1)
                heads = graph.op("Mul", heads, graph.constant(factors))
            query, key, value = graph.split(self.quantized(heads, "key"), [self.num_heads] * 3, axis=1)
            return query, key, value
        query, key, value = graph.split(heads, [self.num_heads] * 3, axis=1)
        if self.keeps_quantized:
            key, value = self.quantized(key, "key"), self.quantized(value, "value")
        return self.queries(query), key, value

    def queries(self, query: str) -> str:
        """Scaled and quantized."""
        if self.scale != 1.0:
            query = self.part.graph.op("Mul", query, self.part.graph.constant(self.scale))
        return self.quantized(query, "query")

    def history(self, keys: str, values: str) -> tuple[str, str]:
        """Keys and values of all tokens so far, as they are multiplied."""
        if self.keeps_quantized:
            return keys, values
        return self.quantized(keys, "key"), self.quantized(values, "value")

    def attend(self, query: str, keys: str, values: str, added: list[str]) -> str:
        """Attention's output, before the output projection.

        Args:
            query: (batch, heads, queries, width), scaled and quantized; so are the next two.
            keys: (batch, heads, width, keys).
            values: (batch, heads, keys, width).
            added: mask and position bias, broadcastable to (batch, heads, queries, keys).

        Returns:
            (batch, heads, queries, width)
        """
        graph = self.part.graph
        scores = graph.op("MatMul", query, keys)
        for mask in added:
            scores = graph.op("Add", scores, mask)
        probabilities = graph.op("Softmax", scores, axis=-1)
        return graph.op("MatMul", self.quantized(probabilities, "probabilities"), values)


def attention_of(part: Part, site: AttentionSite, scale: float | None) -> Attention:
    """The attention at a site of the part's model."""
    model, quantizers = part.reader.model, part.reader.attention(site.module)
    if not part.kernels.faithful:
        quantizers = {role: found for role, found in quantizers.items() if found.quantizer.bits < 8}
    width = head_width(model, site)
    return Attention(
        part=part,
        site=site,
        scale=width**-0.5 if scale is None else scale,
        num_heads=count_heads(model, site),
        width=width,
        quantizers=quantizers,
    )


def transposed(graph: Graph, keys: str) -> str:
    """(batch, heads, tokens, width) -> (batch, heads, width, tokens)."""
    return graph.op("Transpose", keys, perm=[0, 1, 3, 2])
