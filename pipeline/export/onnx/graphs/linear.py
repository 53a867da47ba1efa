"""Linear layers and embedding tables as operators, by the kernels that a variant uses."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.export.onnx.graphs.activations import Activations, clipped, fake_quantized, integer_input
from pipeline.export.onnx.graphs.graph import Graph
from pipeline.export.onnx.graphs.matrices import Matrix, floats, has_integers, integers, row_scale
from pipeline.export.onnx.graphs.nbits import KERNEL_BITS, block_of, nbits
from pipeline.export.onnx.graphs.weights_file import Array

EIGHT_BIT_ACCUMULATION, FP32_ACCUMULATION = 4, 0  # accuracy_level of MatMulNBits


@dataclass(frozen=True, kw_only=True)
class Linear:
    """A linear layer.

    Args:
        matrix: (outputs, inputs).
        bias: (outputs,) in fp32, known by its name; or none.
        activations: how its input is quantized; none if it is not.
    """

    matrix: Matrix
    bias: tuple[str, Array] | None
    activations: Activations | None


@dataclass(frozen=True, kw_only=True)
class Kernels:
    """How a graph multiplies.

    Args:
        low_bits: MatMulNBits where it can (weights stay at their bits in memory; activations are rounded to 8 bits in
            blocks by the kernel); else integer products with the very codes of training.
        explicit: whether 8-bit inputs are quantized as in training before MatMulNBits, too, which rounds to 8 bits by
            itself; fewer bits always are.
        faithful: whether attention rounds its operands to 8 bits as in training; fewer bits always are (RESULTS.md has
            what it changes).
    """

    low_bits: bool
    explicit: bool = False
    faithful: bool = True


def linear(graph: Graph, x: str, layers: list[Linear], kernels: Kernels) -> str:
    """Layers that read the same input, their outputs side by side: (rows, inputs) -> (rows, sum of outputs)."""
    first = layers[0]
    alike = all(
        (layer.activations, _kind(layer, kernels)) == (first.activations, _kind(first, kernels)) for layer in layers
    )
    if not alike:
        return graph.op("Concat", *(linear(graph, x, [layer], kernels) for layer in layers), axis=1)
    kind = _kind(first, kernels)
    if kind == "low bits":
        return _low_bits(graph, x, layers, kernels.explicit)
    return _integers(graph, x, layers) if kind == "integers" else _floats(graph, x, layers)


def _kind(layer: Linear, kernels: Kernels) -> str:
    """Which kernel suits a layer."""
    matrix, unquantized = layer.matrix, layer.activations is None
    if matrix.packed is None or block_of(matrix) is None:
        can_be_low = False
    else:
        # With fp32 activations there is a fast kernel for four bits only.
        can_be_low = not unquantized or KERNEL_BITS[matrix.bits] < 8
    if kernels.low_bits and can_be_low:
        return "low bits"
    return "integers" if not unquantized and has_integers(matrix) else "floats"


def _integers(graph: Graph, x: str, layers: list[Linear]) -> str:
    """u8 x s8 products: exactly the numbers of training, whatever the order of summation."""
    activations = layers[0].activations
    assert activations is not None
    given = integer_input(graph, x, activations)
    weights = _joined(graph, [integers(graph, layer.matrix) for layer in layers], axis=1)
    scale = _joined(graph, [row_scale(graph, layer.matrix) for layer in layers], axis=0)
    bias = _bias(graph, layers)
    whole = given.one_scale and given.zero is None
    factor = given.scale if whole else graph.constant(1.0)
    middle = graph.constant(given.middle, np.uint8)
    operands = (given.codes, weights, factor, scale, middle, "", bias if whole else "")
    product = graph.op("MatMulIntegerToFloat", *operands)
    if whole:
        return product
    if given.zero is not None:
        sums = graph.op("ReduceSum", graph.cast(weights, np.int32), graph.constant([0], np.int64), keepdims=0)
        offset = graph.op("Mul", given.zero, graph.op("Mul", graph.cast(sums, np.float32), scale))
        product = graph.op("Sub", product, offset)
    product = graph.op("Mul", product, given.scale)
    return graph.op("Add", product, bias) if bias else product


def _low_bits(graph: Graph, x: str, layers: list[Linear], explicit: bool) -> str:
    """Weights at their bits in memory, too."""
    activations = layers[0].activations
    outputs = []
    if activations is not None:
        explicit = explicit or activations.quantizer.bits < 8
        quantize = fake_quantized if explicit else clipped
        x = graph.once(("input", x, activations, explicit), lambda: quantize(graph, x, activations))
    # Kernels that leave activations alone are fast at four bits only; half steps in groups have no other form.
    wide = [activations is None or (layer.matrix.half_step and layer.matrix.grouped) for layer in layers]
    forms = [nbits(graph, layer.matrix, w) for layer, w in zip(layers, wide, strict=True)]
    level = FP32_ACCUMULATION if activations is None else EIGHT_BIT_ACCUMULATION
    same = len({(form.bits, form.block, bool(form.zero), form.shift is None) for form in forms}) == 1
    for some in [list(range(len(layers)))] if same else [[i] for i in range(len(layers))]:
        form, rows = forms[some[0]], sum(layers[i].matrix.shape[0] for i in some)
        operands = [
            _joined(graph, [getattr(forms[i], part) for i in some], axis=0) for part in ("data", "scale", "zero")
        ]
        settings = {"K": layers[0].matrix.shape[1], "N": rows, "bits": form.bits, "block_size": form.block}
        bias = _bias(graph, [layers[i] for i in some])
        product = graph.op("MatMulNBits", x, *operands, "", bias, accuracy_level=level, **settings)
        if form.shift is not None:
            shift = _joined(graph, [str(forms[i].shift) for i in some], axis=0)
            product = graph.op("Add", product, graph.op("Mul", _row_sum(graph, x), shift))
        outputs.append(product)
    return _joined(graph, outputs, axis=1)


def _row_sum(graph: Graph, x: str) -> str:
    return graph.once(("row sum", x), lambda: graph.op("ReduceSum", x, graph.constant([-1], np.int64), keepdims=1))


def _floats(graph: Graph, x: str, layers: list[Linear]) -> str:
    """Unpacked weights, fake-quantized activations: the arithmetic of training on a GPU."""
    activations = layers[0].activations
    if activations is not None:
        x = graph.once(("input", x, activations, True), lambda: fake_quantized(graph, x, activations))
    weights = _joined(graph, [floats(graph, layer.matrix) for layer in layers], axis=0)
    bias = _bias(graph, layers)
    return graph.op("Gemm", x, weights, *([bias] if bias else []), transB=1)


def _bias(graph: Graph, layers: list[Linear]) -> str:
    """The layers' biases side by side; empty if there are none."""
    if all(layer.bias is None for layer in layers):
        return ""
    parts = [
        graph.constant(np.zeros(layer.matrix.shape[0])) if layer.bias is None else graph.weight(*layer.bias)
        for layer in layers
    ]
    return _joined(graph, parts, axis=0)


def _joined(graph: Graph, parts: list[str], axis: int) -> str:
    """Values side by side; nothing of nothings."""
    return parts[0] if len(parts) == 1 or not any(parts) else graph.op("Concat", *parts, axis=axis)


def looked_up(graph: Graph, ids: str, matrix: Matrix) -> str:
    """Rows of a table: ids of any shape -> (..., columns)."""
    block = block_of(matrix)
    if block is None:
        return graph.op("Gather", floats(graph, matrix), ids, axis=0)
    form = nbits(graph, matrix, wide=matrix.half_step and matrix.grouped)
    rows, columns = matrix.shape
    flat = graph.op("Reshape", form.data, graph.constant([rows, columns * form.bits // 8], np.int64))
    settings = {"bits": form.bits, "block_size": form.block, "gather_axis": 0, "quantize_axis": 1}
    found = graph.op("GatherBlockQuantized", flat, ids, form.scale, *([form.zero] if form.zero else []), **settings)
    if form.shift is None:
        return found
    column = graph.op("Reshape", form.shift, graph.constant([-1, 1], np.int64))
    return graph.op("Add", found, graph.op("Gather", column, ids, axis=0))
