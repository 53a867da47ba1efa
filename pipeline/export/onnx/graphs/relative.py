"""T5's relative positions: a bias per head and distance, looked up."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from pipeline.export.onnx.graphs.parts import Part


def relative_bias(part: Part, module: str, queries: str, keys: str) -> str:
    """The bias of all heads, (1, heads, queries, keys).

    Args:
        part: where it is built.
        module: the attention module with the table.
        queries: positions, int64 (queries,).
        keys: positions, int64 (keys,).
    """
    graph = part.graph
    attention: Any = part.reader.model.get_submodule(module)
    farthest = int(attention.relative_attention_max_distance)
    buckets = attention._relative_position_bucket(
        torch.arange(-farthest, farthest + 1),
        bidirectional=not attention.is_decoder,
        num_buckets=attention.relative_attention_num_buckets,
        max_distance=farthest,
    )
    one, zero = graph.constant([1], np.int64), graph.constant([0], np.int64)
    distance = graph.op("Sub", graph.op("Unsqueeze", keys, zero), graph.op("Unsqueeze", queries, one))
    ends = (graph.constant(number, np.int64) for number in (-farthest, farthest))
    index = graph.op("Add", graph.op("Clip", distance, *ends), graph.constant(farthest, np.int64))
    bucket = graph.op("Gather", graph.constant(buckets.numpy(), np.int64), index, axis=0)
    table = part.reader.matrix(f"{module}.relative_attention_bias")
    assert table.values is not None
    found = graph.op("Gather", graph.weight(table.name, table.values), bucket, axis=0)
    return graph.op("Unsqueeze", graph.op("Transpose", found, perm=[2, 0, 1]), zero)


def own_heads(part: Part, module: str, bias: str) -> str:
    """The part of the bias that belongs to the heads that an attention has left."""
    kept = getattr(part.reader.model.get_submodule(module), "bias_heads", None)
    return bias if kept is None else part.graph.op("Gather", bias, part.graph.constant(kept, np.int64), axis=1)
