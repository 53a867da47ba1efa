"""Stored matrices in the forms that kernels want; the bytes on disk are the package's own.

What lies in the weights file are the codes and scales of the training quantizer as the package has them. Unpacking is
part of the graph and depends on no input, so a runtime does it once, when it loads.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np
import torch
from torch import Tensor

from pipeline.export.onnx.graphs.graph import Graph
from pipeline.export.onnx.graphs.weights_file import Array
from pipeline.quantization.packed_layers import PackedWeight
from pipeline.quantization.quantizers import TERNARY_BITS


@dataclass(frozen=True, kw_only=True)
class Matrix:
    """A matrix (rows, columns) as the package stores it: packed, or in fp32.

    Args:
        name: under which it is stored, the same for all that share it.
        shape: rows (outputs of a linear layer, tokens of a table) and columns.
        packed: codes and scales.
        values: fp32 values where it is not packed.
    """

    name: str
    shape: tuple[int, int]
    packed: PackedWeight | None = None
    values: Array | None = None

    @property
    def bits(self) -> float:
        """Bits of a stored value; 32 is not packed."""
        return 32 if self.packed is None else self.packed.bits

    @property
    def half_step(self) -> bool:
        """Whether levels lie half a step beside the integers, as one bit and four levels around zero do."""
        return self.packed is not None and isinstance(self.packed.zero, float) and self.packed.zero == -0.5

    @property
    def grouped(self) -> bool:
        """Whether runs of values within a row have scales of their own."""
        return self.packed is not None and self.packed.scale.dim() == 3

    @property
    def offset(self) -> bool:
        """Whether every block has a zero point of its own."""
        return self.packed is not None and isinstance(self.packed.zero, Tensor)

    @property
    def levels(self) -> int:
        """How many codes there are, stored as 0, 1, ..."""
        return 3 if self.bits == TERNARY_BITS else int(2**self.bits)


def codes(graph: Graph, matrix: Matrix) -> str:
    """The stored codes 0, 1, ... as uint8 (rows, columns)."""
    if matrix.bits == 8:
        return graph.op("Reshape", stored_bytes(graph, matrix), graph.constant(matrix.shape, np.int64))
    return mapped_codes(graph, matrix, np.arange(matrix.levels, dtype=np.uint8))


def mapped_codes(graph: Graph, matrix: Matrix, values: Array) -> str:
    """What the stored codes stand for, (rows, columns): code c becomes `values[c]`."""

    def make() -> str:
        assert matrix.packed is not None
        raw, (rows, columns) = stored_bytes(graph, matrix), matrix.shape
        if matrix.bits == 3:
            found = graph.op("Gather", graph.constant(values, values.dtype), graph.cast(_triples(graph, raw), np.int32))
        else:
            # A table of what every byte holds: one operator, and a copy of some bytes for each.
            per_byte = 5 if matrix.bits == TERNARY_BITS else 8 // int(matrix.bits)
            digits = np.arange(256)[:, None] // matrix.levels ** np.arange(per_byte) % matrix.levels
            table = graph.constant(values[digits], values.dtype.type)
            found = graph.op("Gather", table, graph.cast(raw, np.int32), axis=0)
        flat = graph.op("Reshape", found, graph.constant([-1], np.int64))
        if rows * columns != _num_stored(matrix.packed):  # the last group is padded
            flat = graph.op("Slice", flat, *(graph.constant([number], np.int64) for number in (0, rows * columns)))
        return graph.op("Reshape", flat, graph.constant([rows, columns], np.int64))

    return graph.once(("codes", matrix.name, values.tobytes()), make)


def stored_bytes(graph: Graph, matrix: Matrix) -> str:
    """The package's own bytes."""
    assert matrix.packed is not None
    return graph.weight(f"{matrix.name}.codes", matrix.packed.codes.cpu().numpy())


def _num_stored(packed: PackedWeight) -> int:
    """Codes in its bytes, those that fill the last group included."""
    num_bytes = packed.codes.numel()
    return num_bytes * 5 if packed.bits == TERNARY_BITS else num_bytes * 8 // int(packed.bits)


def _triples(graph: Graph, raw: str) -> str:
    """Eight codes of three bits in three bytes; a code may begin in one byte and end in the next."""
    column = graph.op("Reshape", raw, graph.constant([-1, 3], np.int64))
    starts = [3 * i for i in range(8)]

    def shifted(byte: list[int], by: list[int], direction: str) -> str:
        part = graph.op("Gather", column, graph.constant(byte, np.int64), axis=1)
        return graph.op("BitShift", part, graph.constant([by], np.uint8), direction=direction)

    low = shifted([s // 8 for s in starts], [s % 8 for s in starts], "RIGHT")
    # A shift by 8 is undefined; 7 does where the code has ended before.
    high = shifted([min(s // 8 + 1, 2) for s in starts], [min(8 - s % 8, 7) for s in starts], "LEFT")
    return graph.op("BitwiseAnd", graph.op("BitwiseOr", low, high), graph.constant(7, np.uint8))


def row_scale(graph: Graph, matrix: Matrix) -> str:
    """What an integer of `integers` is worth, (rows,)."""
    assert not matrix.grouped

    def make() -> str:
        rows = graph.constant([matrix.shape[0]], np.int64)
        return graph.op("Expand", graph.op("Reshape", scale_of(graph, matrix), graph.constant([-1], np.int64)), rows)

    return graph.once(("row scale", matrix.name), make)


def scale_of(graph: Graph, matrix: Matrix) -> str:
    """What a step of `integers` is worth, in the blocks' shape."""

    def make() -> str:
        packed = matrix.packed
        assert packed is not None
        scale = graph.weight(f"{matrix.name}.scale", array_of(packed.scale))
        if packed.scale.dtype == torch.bfloat16:
            scale = graph.cast(scale, np.float32)
        if packed.divides:
            scale = graph.op("Reciprocal", scale)
        return graph.op("Mul", scale, graph.constant(0.5)) if matrix.half_step else scale

    return graph.once(("scale", matrix.name), make)


def has_integers(matrix: Matrix) -> bool:
    """Whether the matrix is one of int8 times a scale per row."""
    return matrix.packed is not None and not matrix.grouped and not (matrix.offset and matrix.bits == 8)


def integers(graph: Graph, matrix: Matrix) -> str:
    """int8 (columns, rows), the right operand of an integer product: value = integer x row scale."""

    def make() -> str:
        assert matrix.packed is not None and has_integers(matrix)
        steps, middle = (2, matrix.levels - 1) if matrix.half_step else (1, matrix.levels // 2)
        values = (steps * np.arange(matrix.levels) - middle).astype(np.int8)
        if matrix.bits == 8:  # arithmetic of uint8 wraps around, and so does the cast: negative numbers come out right
            stored = graph.op("Sub", codes(graph, matrix), graph.constant(middle, np.uint8))
            centred = graph.cast(stored, np.int8)
        else:
            centred = mapped_codes(graph, matrix, values)
        if isinstance(matrix.packed.zero, Tensor):
            zero = graph.weight(f"{matrix.name}.zero", array_of(matrix.packed.zero))
            centred = graph.op("Sub", centred, zero)
        return graph.op("Transpose", centred, perm=[1, 0])

    return graph.once(("integers", matrix.name), make)


def floats(graph: Graph, matrix: Matrix) -> str:
    """The values in fp32, (rows, columns)."""
    if matrix.values is not None:
        return graph.weight(matrix.name, matrix.values)

    def make() -> str:
        packed = matrix.packed
        assert packed is not None
        shape = graph.constant([*packed.scale.shape[:-1], -1], np.int64)
        blocks = graph.cast(graph.op("Reshape", codes(graph, matrix), shape), np.float32)
        if isinstance(packed.zero, Tensor):
            zero = graph.cast(graph.weight(f"{matrix.name}.zero", array_of(packed.zero)), np.float32)
            blocks = graph.op("Sub", blocks, graph.op("Add", zero, graph.constant(matrix.levels // 2)))
        elif matrix.half_step:
            blocks = graph.op("Sub", graph.op("Add", blocks, blocks), graph.constant(matrix.levels - 1))
        else:
            blocks = graph.op("Sub", blocks, graph.constant(matrix.levels // 2))
        return graph.op(
            "Reshape", graph.op("Mul", blocks, scale_of(graph, matrix)), graph.constant(matrix.shape, np.int64)
        )

    return graph.once(("floats", matrix.name), make)


def array_of(tensor: Tensor) -> Array:
    """A tensor for numpy; bf16 stays bf16."""
    tensor = tensor.detach().cpu().contiguous()
    if tensor.dtype == torch.bfloat16:
        bits: Any = tensor.view(torch.int16).numpy()
        return np.asarray(bits.view(ml_dtypes.bfloat16))
    return np.asarray(tensor.numpy())
