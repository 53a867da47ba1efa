"""Activation quantizers as operators: the grids of training, from values that are known only when the graph runs."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from pipeline.export.onnx.graphs.graph import Graph
from pipeline.quantization.learned import ElasticStep
from pipeline.quantization.quantizers import MIN_SCALE, Asymmetric, Quantizer, Symmetric

MIDDLE = 128  # signed codes as uint8: products of two signed integers are slow on x86
SPLIT = 2.0**8 + 1.0  # leaves 16 of 24 bits (Veltkamp 1968)


@dataclass(frozen=True, kw_only=True)
class Activations:
    """An activation quantizer with its learned scale, if it has one.

    Args:
        quantizer: its grid.
        step: the learned scale as training rounds it, if the quantizer learns one.
    """

    quantizer: Quantizer
    step: float | None = None

    @property
    def clip_value(self) -> float | None:
        """Values are clipped to +- this first."""
        return getattr(self.quantizer, "clip_value", None)

    @property
    def highest(self) -> int:
        """The highest code."""
        bits, signed = int(self.quantizer.bits), getattr(self.quantizer, "signed", True)
        return int(2 ** (bits - 1) - 1) if signed and not isinstance(self.quantizer, Asymmetric) else int(2**bits - 1)


@dataclass(frozen=True, kw_only=True)
class IntegerInput:
    """Quantized activations: value = (code - middle - zero) x scale.

    Args:
        codes: uint8 (rows, columns).
        scale: one number, or (rows, 1).
        one_scale: whether it is one number.
        middle: the code of zero, the same for all.
        zero: float (rows, 1) or one number: the code of zero where rows differ; none where `middle` says it.
    """

    codes: str
    scale: str
    one_scale: bool
    middle: int
    zero: str | None = None


def clipped(graph: Graph, x: str, activations: Activations | None) -> str:
    """Values within the recipe's clip."""
    limit = None if activations is None else activations.clip_value
    return x if limit is None else graph.op("Clip", x, graph.constant(-limit), graph.constant(limit))


def fake_quantized(graph: Graph, x: str, activations: Activations) -> str:
    """Quantized values in fp32, of any shape."""
    quantizer = activations.quantizer
    if isinstance(quantizer, Asymmetric):
        scale, zero = _offset_grid(graph, x, activations)
        limited = clipped(graph, x, activations)
        halves_up = graph.op("Floor", graph.op("Add", graph.op("Div", limited, scale), graph.constant(0.5)))
        steps = graph.op("Add", halves_up, zero)
        codes = graph.op("Clip", steps, graph.constant(0.0), graph.constant(float(activations.highest)))
        return graph.op("Mul", graph.op("Sub", codes, zero), scale)
    limited, scale = _limited(graph, x, activations)
    return graph.op("Mul", graph.op("Round", graph.op("Div", limited, scale)), scale)


def integer_input(graph: Graph, x: str, activations: Activations) -> IntegerInput:
    """Codes of (rows, columns) for integer products."""

    def make() -> IntegerInput:
        one_scale = activations.step is not None or activations.quantizer.blocks.kind == "tensor"
        if isinstance(activations.quantizer, Asymmetric):
            scale, zero = _offset_grid(graph, x, activations)
            points = graph.cast(zero, np.uint8)
            codes = _codes(graph, clipped(graph, x, activations), scale, points, one_scale)
            return IntegerInput(codes=codes, scale=scale, one_scale=one_scale, middle=0, zero=zero)
        limited, scale = _limited(graph, x, activations)
        middle = MIDDLE if getattr(activations.quantizer, "signed", True) else 0
        point = graph.constant(middle, np.uint8)
        if not one_scale:
            rows = graph.op("Shape", scale, start=0, end=1)
            point = graph.op("Expand", point, rows)
        codes = _codes(graph, limited, scale, point, one_scale)
        return IntegerInput(codes=codes, scale=scale, one_scale=one_scale, middle=middle)

    return graph.once(("integer input", x, activations), make)


def _codes(graph: Graph, x: str, scale: str, zero: str, one_scale: bool) -> str:
    if one_scale:
        return graph.op("QuantizeLinear", x, scale, zero)
    flat = graph.constant([-1], np.int64)
    scale, zero = (graph.op("Reshape", part, flat) for part in (scale, zero))
    return graph.op("QuantizeLinear", x, scale, zero, axis=0)


def _limited(graph: Graph, x: str, activations: Activations) -> tuple[str, str]:
    """Values within the range of the codes, and their scale."""
    quantizer, highest = activations.quantizer, activations.highest
    if isinstance(quantizer, ElasticStep):
        step = activations.step
        assert step is not None
        lowest = -highest * step if quantizer.signed else 0.0
        limited = graph.op("Clip", x, graph.constant(lowest), graph.constant(highest * step))
        return limited, graph.constant(step)
    assert isinstance(quantizer, Symmetric), quantizer
    limited = clipped(graph, x, activations)
    size = graph.op("Abs", limited) if quantizer.signed else limited
    largest = _reduced(graph, "ReduceMax", size, quantizer)
    scale = graph.op("Div", largest, graph.constant(float(highest)))
    return limited, _at_least(graph, scale if quantizer.as_published else _rounded(graph, scale))


def _offset_grid(graph: Graph, x: str, activations: Activations) -> tuple[str, str]:
    """Scale and code of zero of a grid from the smallest to the largest value."""
    quantizer = activations.quantizer
    assert isinstance(quantizer, Asymmetric)
    limit = math.inf if quantizer.clip_value is None else quantizer.clip_value
    lowest = graph.op("Clip", _reduced(graph, "ReduceMin", x, quantizer), graph.constant(-limit), graph.constant(0.0))
    largest = graph.op("Clip", _reduced(graph, "ReduceMax", x, quantizer), graph.constant(0.0), graph.constant(limit))
    highest = graph.constant(float(activations.highest))
    span = graph.op("Sub", graph.op("Div", largest, highest), graph.op("Div", lowest, highest))
    scale = _at_least(graph, _rounded(graph, span, down=True))
    above = graph.op("Floor", graph.op("Add", graph.op("Div", largest, scale), graph.constant(0.5)))
    return scale, graph.op("Sub", highest, graph.op("Clip", above, graph.constant(0.0), highest))


def _reduced(graph: Graph, kind: str, x: str, quantizer: Quantizer) -> str:
    """The largest or smallest value of each block."""
    if quantizer.blocks.kind == "tensor":
        return graph.op(kind, x, keepdims=0)
    return graph.op(kind, x, graph.constant([-1], np.int64), keepdims=1)


def _at_least(graph: Graph, scale: str) -> str:
    return graph.op("Clip", scale, graph.constant(MIN_SCALE))


def _rounded(graph: Graph, scale: str, down: bool = False) -> str:
    """16 significant bits of a scale, halves up as in training; or the next lower number of so many.

    In fp32, and equal to `round_scale` for every number: OpenVINO computes doubles in fp32 and says nothing.
    """
    nearest = _split(graph, scale)
    if down:
        # Between a half and one and a quarter of the last bit less, so that neither side is a tie.
        below = _split(graph, graph.op("Mul", nearest, graph.constant(1.0 - 1.25 * 2.0**-16)))
        return graph.op("Where", graph.op("Greater", nearest, scale), below, nearest)
    # On the other side of the scale, as far from it: a number of 16 bits, too, only if the scale lies half way.
    rest = graph.op("Sub", scale, nearest)
    other = graph.op("Add", nearest, graph.op("Add", rest, rest))
    half_way = graph.op("Equal", _split(graph, other), other)
    # Comparisons with a constant are slow: onnxruntime broadcasts it element by element.
    up = graph.op("And", half_way, graph.op("Greater", other, nearest))
    return graph.op("Where", up, other, nearest)


def _split(graph: Graph, x: str) -> str:
    """The nearest number of 16 bits, halves to even."""
    product = graph.op("Mul", x, graph.constant(SPLIT))
    return graph.op("Sub", product, graph.op("Sub", product, x))
