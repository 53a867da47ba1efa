"""The encoder graph: source tokens -> what the decoder attends to, or a classifier's logits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.export.onnx.graphs.attention import Attention, attention_of, transposed
from pipeline.export.onnx.graphs.layout import Layout, StackLayout
from pipeline.export.onnx.graphs.linear import looked_up
from pipeline.export.onnx.graphs.parts import Part
from pipeline.export.onnx.graphs.relative import own_heads, relative_bias
from pipeline.models.families import family_of
from pipeline.models.student import sites_of

LOWEST = float(np.finfo(np.float32).min)


@dataclass(frozen=True, kw_only=True)
class Source:
    """The inputs of an encoder: names of values.

    Args:
        ids: int64 (batch, source).
        mask: int64 (batch, source).
        shape: int64 (2,): batch, source.
        length: int64 (1,): source.
    """

    ids: str
    mask: str
    shape: str
    length: str


def build_encoder(part: Part, layout: Layout) -> None:
    """Build the whole graph, inputs and outputs included."""
    graph, model = part.graph, part.reader.model
    family = family_of(model.config)
    ids = graph.input("input_ids", np.int64, ["batch", "source"])
    mask = graph.input("attention_mask", np.int64, ["batch", "source"])
    shape = graph.op("Shape", ids)
    source = Source(ids=ids, mask=mask, shape=shape, length=graph.op("Shape", ids, start=1, end=2))
    sites = sites_of(model).attentions
    x = _embedded(part, layout, source)
    added = graph.op(
        "Mul", graph.cast(graph.op("Sub", graph.constant(1, np.int64), mask), np.float32), graph.constant(LOWEST)
    )
    added = graph.op("Unsqueeze", added, graph.constant([1, 2], np.int64))
    bias = _bias(part, layout.encoder, source)
    for site in (site for site in sites if site.kind == "encoder"):
        attention = attention_of(part, site, layout.attention_scale)
        x = _layer(part, layout.encoder, f"{family.encoder.prefix}.{site.layer}", attention, x, source, [added], bias)
    if layout.encoder.final_norm is not None:
        x = part.norm(x, layout.encoder.final_norm)
    if layout.classifier is not None:
        _classify(part, layout, x, source)
        return
    graph.output("cross_mask", added, np.float32, ["batch", 1, 1, "source"])
    _cross(part, layout, x, source)


def _embedded(part: Part, layout: Layout, source: Source) -> str:
    """(batch x source, columns), which all that follows works on."""
    graph, stack = part.graph, layout.encoder
    flat = graph.op("Reshape", source.ids, graph.constant([-1], np.int64))
    x = part.scaled(looked_up(graph, flat, part.reader.matrix(stack.tokens)), layout.embedding_scale)
    columns = part.reader.matrix(stack.tokens).shape[1]
    if stack.token_types is not None:
        types = graph.op("Sub", flat, flat)
        if stack.reads_types:
            given = graph.input("token_type_ids", np.int64, ["batch", "source"])
            types = graph.op("Reshape", given, graph.constant([-1], np.int64))
        x = graph.op("Add", x, looked_up(graph, types, part.reader.matrix(stack.token_types)))
    if stack.positions is not None:
        x3d = graph.op("Reshape", x, _joined(part, source.shape, [columns]))
        x3d = graph.op("Add", x3d, part.positions(stack.positions, _rows(part, stack, source)))
        x = graph.op("Reshape", x3d, graph.constant([-1, columns], np.int64))
    return x if stack.embedding_norm is None else part.norm(x, stack.embedding_norm)


def _rows(part: Part, stack: StackLayout, source: Source) -> str:
    """Rows of the position table: of every token of any row, or of each row's own tokens."""
    graph = part.graph
    first = graph.constant(stack.first_position, np.int64)
    if not stack.counts_tokens:
        return graph.op("Add", _range(part, source), first)
    # RoBERTa: padding has the row before the first.
    padding = graph.constant(stack.first_position - 1, np.int64)
    tokens = graph.cast(graph.op("Not", graph.op("Equal", source.ids, padding)), np.int64)
    counted = graph.op("CumSum", tokens, graph.constant(1, np.int64))
    return graph.op("Add", graph.op("Mul", counted, tokens), padding)


def _range(part: Part, source: Source) -> str:
    graph = part.graph
    length = graph.op("Squeeze", source.length, graph.constant([0], np.int64))
    return graph.op("Range", graph.constant(0, np.int64), length, graph.constant(1, np.int64))


def _bias(part: Part, stack: StackLayout, source: Source) -> str | None:
    if stack.relative is None:
        return None
    positions = _range(part, source)
    return relative_bias(part, stack.relative, positions, positions)


def _layer(
    part: Part,
    stack: StackLayout,
    name: str,
    attention: Attention,
    x: str,
    source: Source,
    masks: list[str],
    bias: str | None,
) -> str:
    site = attention.site
    added = masks if bias is None else [own_heads(part, site.module, bias), *masks]

    def attend(given: str) -> str:
        heads = _heads(part, part.linear(given, site.query, site.key, site.value), source, attention, 3)
        query, key, value = attention.operands(heads)
        keys, values = attention.history(transposed(part.graph, key), value)
        context = part.graph.op("Transpose", attention.attend(query, keys, values, added), perm=[0, 2, 1, 3])
        flat = part.graph.op("Reshape", context, part.graph.constant([-1, attention.total], np.int64))
        return part.linear(flat, site.output)

    x = part.residual(x, attend, f"{name}.{stack.self_norm}", stack.norm_first)
    return part.residual(
        x, lambda given: part.feed_forward(given, stack, name), f"{name}.{stack.feed_forward_norm}", stack.norm_first
    )


def _heads(part: Part, x: str, source: Source, attention: Attention, times: int) -> str:
    """(batch x source, times x heads x width) -> (batch, times x heads, source, width)."""
    shape = _joined(part, source.shape, [times * attention.num_heads, attention.width])
    return part.graph.op("Transpose", part.graph.op("Reshape", x, shape), perm=[0, 2, 1, 3])


def _joined(part: Part, shape: str, sizes: list[int]) -> str:
    return part.graph.op("Concat", shape, part.graph.constant(sizes, np.int64), axis=0)


def _cross(part: Part, layout: Layout, x: str, source: Source) -> None:
    """Keys and values of every decoder layer's attention to the source: quantized once, for all steps."""
    graph = part.graph
    sites = [site for site in sites_of(part.reader.model).attentions if site.kind == "cross"]
    attentions = [attention_of(part, site, layout.attention_scale) for site in sites]
    products = part.linear(x, *(name for site in sites for name in (site.key, site.value)))
    parts = graph.split(products, [2 * attention.total for attention in attentions], axis=1)
    for attention, both in zip(attentions, parts, strict=True):
        key, value = graph.split(_heads(part, both, source, attention, 2), [attention.num_heads] * 2, axis=1)
        keys, values = transposed(graph, attention.quantized(key, "key")), attention.quantized(value, "value")
        heads, width, layer = attention.num_heads, attention.width, attention.site.layer
        graph.output(f"cross_key_{layer}", keys, np.float32, ["batch", heads, width, "source"])
        graph.output(f"cross_value_{layer}", values, np.float32, ["batch", heads, "source", width])


def _classify(part: Part, layout: Layout, x: str, source: Source) -> None:
    graph, (dense, out) = part.graph, layout.classifier or ("", "")
    columns = part.reader.matrix(layout.encoder.tokens).shape[1]
    x = graph.op("Reshape", x, _joined(part, source.shape, [columns]))
    first = graph.op("Gather", x, graph.constant(0, np.int64), axis=1)
    logits = part.linear(part.function(part.linear(first, dense), "tanh"), out)
    graph.output("logits", logits, np.float32, ["batch", part.reader.matrix(out).shape[0]])
