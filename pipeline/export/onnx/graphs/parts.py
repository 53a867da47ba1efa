"""The parts that all families share: norms, activation functions, positions, feed-forward layers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from pipeline.export.onnx.graphs.graph import Graph
from pipeline.export.onnx.graphs.layout import StackLayout
from pipeline.export.onnx.graphs.linear import Kernels, linear
from pipeline.export.onnx.graphs.matrices import codes, floats, row_scale
from pipeline.export.onnx.graphs.reading import Reader


@dataclass(frozen=True, kw_only=True)
class Part:
    """Where something is built: the graph, the model it follows, the kernels it uses."""

    graph: Graph
    reader: Reader
    kernels: Kernels

    def linear(self, x: str, *names: str) -> str:
        """Linear layers that read the same input, side by side."""
        return linear(self.graph, x, [self.reader.linear(name) for name in names], self.kernels)

    def scaled(self, x: str, factor: float) -> str:
        """x times a factor, if it is another than one."""
        return x if factor == 1.0 else self.graph.op("Mul", x, self.graph.constant(factor))

    def norm(self, x: str, name: str) -> str:
        """Layer norm with mean and bias, or T5's root mean square."""
        graph, layer = self.graph, self.reader.model.get_submodule(name)
        weight = graph.weight(*self.reader.vector(f"{name}.weight"))
        if isinstance(layer, nn.LayerNorm):
            bias = graph.weight(*self.reader.vector(f"{name}.bias"))
            return graph.op("LayerNormalization", x, weight, bias, axis=-1, epsilon=layer.eps)
        epsilon: Any = layer.variance_epsilon
        mean = graph.op("ReduceMean", graph.op("Mul", x, x), graph.constant([-1], np.int64), keepdims=1)
        root = graph.op("Sqrt", graph.op("Add", mean, graph.constant(epsilon)))
        return graph.op("Mul", graph.op("Div", x, root), weight)

    def function(self, x: str, kind: str) -> str:
        """An activation function by its name in `reading.ACTIVATIONS`."""
        graph = self.graph
        if kind in ("gelu", "gelu_tanh"):
            return graph.op("Gelu", x, approximate="tanh" if kind == "gelu_tanh" else "none")
        if kind == "silu":
            return graph.op("Mul", x, graph.op("Sigmoid", x))
        return graph.op({"relu": "Relu", "tanh": "Tanh"}[kind], x)

    def feed_forward(self, x: str, layout: StackLayout, layer: str) -> str:
        """Up, activation function (of the gate, if there is one), down."""
        names = [f"{layer}.{name}" for name in layout.up]
        kind, up = self.reader.function(f"{layer}.{layout.function}"), self.linear(x, *names)
        if len(names) == 1:
            inner = self.function(up, kind)
        else:
            width = self.reader.matrix(names[0]).shape[0]
            gate, values = self.graph.split(up, [width, width], axis=1)
            inner = self.graph.op("Mul", self.function(gate, kind), values)
        return self.linear(inner, f"{layer}.{layout.down}")

    def residual(self, x: str, layer: Callable[[str], str], norm: str, first: bool) -> str:
        """x + layer(norm(x)), or norm(x + layer(x))."""
        if first:
            return self.graph.op("Add", x, layer(self.norm(x, norm)))
        return self.norm(self.graph.op("Add", x, layer(x)), norm)

    def positions(self, name: str, rows: str) -> str:
        """Rows of a position table: int64 of any shape -> (..., columns)."""
        graph, matrix = self.graph, self.reader.matrix(name)
        if matrix.packed is not None and matrix.bits == 8 and not (matrix.offset or matrix.grouped):
            # A table of single bytes is read where it lies.
            found = graph.cast(graph.op("Gather", codes(graph, matrix), rows, axis=0), np.float32)
            scale = graph.op("Reshape", row_scale(graph, matrix), graph.constant([-1, 1], np.int64))
            return graph.op(
                "Mul", graph.op("Sub", found, graph.constant(128.0)), graph.op("Gather", scale, rows, axis=0)
            )
        computed = self._sinusoids(name, rows)
        return computed or graph.op("Gather", floats(graph, matrix), rows, axis=0)

    def _sinusoids(self, name: str, rows: str) -> str | None:
        """Positions that the architecture computes (Marian, Pegasus) are computed here, too, and stored nowhere."""
        graph, table = self.graph, self.reader.model.get_submodule(name).weight
        assert isinstance(table, torch.Tensor)
        width = table.shape[1]
        half = (width + 1) // 2
        frequencies = 10000.0 ** (-2.0 * np.arange(half) / width)
        angles = np.arange(table.shape[0])[:, None] * frequencies
        expected = np.concatenate([np.sin(angles), np.cos(angles[:, : width - half])], axis=1)
        if np.abs(expected - table.detach().cpu().numpy()).max() > 1e-5:
            return None
        position = graph.op("Unsqueeze", graph.cast(rows, np.float64), graph.constant([-1], np.int64))
        angle = graph.op("Mul", position, graph.constant(frequencies, np.float64))
        turn = graph.op("Mod", angle, graph.constant(2.0 * np.pi, np.float64), fmod=1)  # small enough for fp32
        sines, cosines = (graph.op(kind, graph.cast(turn, np.float32)) for kind in ("Sin", "Cos"))
        return graph.op("Concat", sines, cosines, axis=-1)
