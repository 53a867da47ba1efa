"""The decoder graph: one step, (batch, 1) token ids and histories -> logits and longer histories."""

from __future__ import annotations

import numpy as np

from pipeline.export.onnx.graphs.attention import Attention, attention_of
from pipeline.export.onnx.graphs.layout import Layout, StackLayout
from pipeline.export.onnx.graphs.linear import looked_up
from pipeline.export.onnx.graphs.parts import Part
from pipeline.export.onnx.graphs.relative import own_heads, relative_bias
from pipeline.models.families import family_of
from pipeline.models.student import sites_of


def build_decoder(part: Part, layout: Layout) -> None:
    """Build the whole graph of a model with a decoder, inputs and outputs included."""
    graph, model, stack = part.graph, part.reader.model, layout.decoder
    assert stack is not None
    family = family_of(model.config)
    assert family.decoder is not None and family.lm_head is not None
    ids = graph.input("input_ids", np.int64, ["batch", 1])
    cross_mask = graph.input("cross_mask", np.float32, ["batch", 1, 1, "source"])
    sites = [site for site in sites_of(model).attentions if site.kind != "encoder"]
    pairs = list(zip(sites[::2], sites[1::2], strict=True))  # of every layer: to itself, to the source
    step = DecoderStep(part, layout, stack, [attention_of(part, own, layout.attention_scale) for own, _ in pairs])
    x = step.embedded(ids)
    bias = step.bias()
    for own, (_, site) in zip(step.own, pairs, strict=True):
        cross = attention_of(part, site, layout.attention_scale)
        x = step.layer(f"{family.decoder.prefix}.{site.layer}", own, cross, x, cross_mask, bias)
    if stack.final_norm is not None:
        x = part.norm(x, stack.final_norm)
    logits = part.linear(part.scaled(x, layout.head_scale), family.lm_head)
    if layout.logits_bias is not None:
        name, values = part.reader.vector(layout.logits_bias)
        logits = graph.op("Add", logits, graph.weight(name, values)) if values.any() else logits
    graph.output("logits", logits, np.float32, ["batch", part.reader.matrix(family.lm_head).shape[0]])


class DecoderStep:
    """One step of a decoder in the making; every value is (batch, columns).

    Args:
        part: where it is built.
        layout: of the model.
        stack: of the decoder.
        own: the attention of every layer to the text so far.
    """

    def __init__(self, part: Part, layout: Layout, stack: StackLayout, own: list[Attention]) -> None:
        self.part, self.layout, self.stack, self.own = part, layout, stack, own
        graph = part.graph
        for attention in own:
            layer, heads, width = attention.site.layer, attention.num_heads, attention.width
            graph.input(f"self_key_{layer}", np.float32, ["batch", heads, width, "past"])
            graph.input(f"self_value_{layer}", np.float32, ["batch", heads, "past", width])
        # How many tokens there are already, int64 (1,).
        self.past = graph.op("Shape", f"self_key_{own[0].site.layer}", start=3, end=4)

    def embedded(self, ids: str) -> str:
        """The newest token."""
        part, graph, stack = self.part, self.part.graph, self.stack
        flat = graph.op("Reshape", ids, graph.constant([-1], np.int64))
        x = part.scaled(looked_up(graph, flat, part.reader.matrix(stack.tokens)), self.layout.embedding_scale)
        if stack.positions is not None:
            row = graph.op("Add", self.past, graph.constant(stack.first_position, np.int64))
            x = graph.op("Add", x, part.positions(stack.positions, row))
        return x if stack.embedding_norm is None else part.norm(x, stack.embedding_norm)

    def bias(self) -> str | None:
        """T5's position bias, (1, heads, 1, tokens)."""
        if self.stack.relative is None:
            return None
        graph = self.part.graph
        last = graph.op("Squeeze", self.past, graph.constant([0], np.int64))
        one = graph.constant(1, np.int64)
        keys = graph.op("Range", graph.constant(0, np.int64), graph.op("Add", last, one), one)
        return relative_bias(self.part, self.stack.relative, self.past, keys)

    def layer(self, name: str, own: Attention, cross: Attention, x: str, cross_mask: str, bias: str | None) -> str:
        """One layer."""
        part, stack, first = self.part, self.stack, self.stack.norm_first
        x = part.residual(x, lambda given: self._own(own, given, bias), f"{name}.{stack.self_norm}", first)
        x = part.residual(x, lambda given: self._cross(cross, given, cross_mask), f"{name}.{stack.cross_norm}", first)
        return part.residual(
            x, lambda given: part.feed_forward(given, stack, name), f"{name}.{stack.feed_forward_norm}", first
        )

    def _own(self, attention: Attention, x: str, bias: str | None) -> str:
        part, graph, site = self.part, self.part.graph, attention.site
        heads = self._heads(part.linear(x, site.query, site.key, site.value), 3 * attention.num_heads, attention.width)
        query, key, value = attention.operands(heads)
        key = self._heads(key, attention.num_heads, attention.width, standing=True)
        keys = graph.op("Concat", f"self_key_{site.layer}", key, axis=3)
        values = graph.op("Concat", f"self_value_{site.layer}", value, axis=2)
        width, num_heads = attention.width, attention.num_heads
        graph.output(f"next_self_key_{site.layer}", keys, np.float32, ["batch", num_heads, width, "tokens"])
        graph.output(f"next_self_value_{site.layer}", values, np.float32, ["batch", num_heads, "tokens", width])
        added = [] if bias is None else [own_heads(part, site.module, bias)]
        return self._output(attention, attention.attend(query, *attention.history(keys, values), added))

    def _cross(self, attention: Attention, x: str, mask: str) -> str:
        part, graph, site = self.part, self.part.graph, attention.site
        heads, width, layer = attention.num_heads, attention.width, site.layer
        keys = graph.input(f"cross_key_{layer}", np.float32, ["batch", heads, width, "source"])
        values = graph.input(f"cross_value_{layer}", np.float32, ["batch", heads, "source", width])
        query = attention.queries(self._heads(part.linear(x, site.query), heads, width))
        return self._output(attention, attention.attend(query, keys, values, [mask]))

    def _heads(self, x: str, num_heads: int, width: int, standing: bool = False) -> str:
        """(batch, heads, 1, width) of one token, or (batch, heads, width, 1)."""
        last = [width, 1] if standing else [1, width]
        graph = self.part.graph
        return graph.op("Reshape", x, graph.constant([0, num_heads, *last], np.int64))

    def _output(self, attention: Attention, context: str) -> str:
        graph = self.part.graph
        flat = graph.op("Reshape", context, graph.constant([0, attention.total], np.int64))
        return self.part.linear(flat, attention.site.output)
