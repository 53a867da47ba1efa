"""Matrices as the kernels for low bits read them: MatMulNBits and GatherBlockQuantized."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pipeline.export.onnx.graphs.graph import Graph
from pipeline.export.onnx.graphs.matrices import Matrix, mapped_codes, row_scale, scale_of, stored_bytes
from pipeline.export.onnx.graphs.weights_file import Array
from pipeline.quantization.quantizers import TERNARY_BITS

NBITS_BLOCKS = (128, 64, 32, 16)  # of a scale; 128 is fast at every number of bits
KERNEL_BITS = {1: 2, TERNARY_BITS: 2, 2: 2, 3: 4, 4: 4, 8: 8}  # the nearest that the kernels know


@dataclass(frozen=True, kw_only=True)
class NBits:
    """Operands of MatMulNBits and GatherBlockQuantized.

    Args:
        data: uint8 (rows, blocks, bytes of a block).
        scale: (rows, blocks).
        zero: uint8 (rows, bytes), or empty for the middle of the range.
        bits: of a code.
        block: values that share a scale.
        shift: values of every row that must be added to the product with ones: half a step, (rows,), or none.
    """

    data: str
    scale: str
    zero: str
    bits: int
    block: int
    shift: str | None


def block_of(matrix: Matrix) -> int | None:
    """The block of MatMulNBits that fits a matrix; none if none does."""
    if matrix.packed is None:
        return None
    columns = matrix.shape[1]
    if matrix.grouped:
        return columns // matrix.packed.scale.shape[1]
    return next((block for block in NBITS_BLOCKS if columns % block == 0), None)


def nbits(graph: Graph, matrix: Matrix, wide: bool = False) -> NBits:
    """Operands of the kernels for low bits; the matrix has a block (`block_of`).

    Args:
        graph: the graph.
        matrix: packed.
        wide: four bits for what two would hold: kernels that keep activations in fp32 are fast at four only, and half
            steps become whole ones.
    """
    bits = 4 if wide and KERNEL_BITS[matrix.bits] == 2 else KERNEL_BITS[matrix.bits]
    block = block_of(matrix)
    assert block is not None and matrix.packed is not None
    (rows, columns), packed = matrix.shape, matrix.packed
    shifted = matrix.half_step and bits == matrix.bits  # half steps that stay half steps
    layout = graph.constant([rows, columns // block, block * bits // 8], np.int64)

    def make_data() -> str:
        if bits == matrix.bits:
            return graph.op("Reshape", stored_bytes(graph, matrix), layout)
        steps, middle = (2, matrix.levels - 1) if matrix.half_step else (1, matrix.levels // 2)
        values = steps * np.arange(matrix.levels) + 2 ** (bits - 1) - middle
        moved = mapped_codes(graph, matrix, values.astype(np.uint8))
        return graph.op("Reshape", _packed(graph, moved, bits), layout)

    def make_scale() -> str:
        scale = scale_of(graph, matrix)
        if shifted:
            scale = graph.op("Add", scale, scale)
        flat = graph.op("Reshape", scale, graph.constant([-1, columns // block if matrix.grouped else 1], np.int64))
        return graph.op("Expand", flat, graph.constant([rows, columns // block], np.int64))

    def make_zero() -> str:
        assert isinstance(packed.zero, Tensor)
        points = packed.zero.cpu().to(torch.int64).view(packed.zero.shape[0], -1) + 2 ** (bits - 1)
        return graph.weight(f"{matrix.name}.zero.{bits}", _zero_points(points.numpy(), rows, columns // block, bits))

    key = (matrix.name, bits, block)
    assert not (shifted and matrix.grouped), "half steps in groups take the wide form"
    return NBits(
        data=graph.once(("data", *key), make_data),
        scale=graph.once(("block scale", *key), make_scale),
        zero=graph.once(("zero", *key), make_zero) if matrix.offset else "",
        bits=bits,
        block=block,
        shift=row_scale(graph, matrix) if shifted else None,
    )


def _packed(graph: Graph, stored: str, bits: int) -> str:
    """uint8 codes -> bytes, lowest first."""
    per_byte = 8 // bits
    column = graph.op("Reshape", stored, graph.constant([-1, per_byte], np.int64))
    shifts = graph.constant([range(0, 8, bits)], np.uint8)
    parts = graph.split(graph.op("BitShift", column, shifts, direction="LEFT"), [1] * per_byte, axis=1)
    whole = parts[0]
    for part in parts[1:]:
        whole = graph.op("BitwiseOr", whole, part)
    return whole


def _zero_points(points: Array, rows: int, num_blocks: int, bits: int) -> Array:
    """Zero points as the kernels read them: packed like codes, rows in whole bytes."""
    spread = np.broadcast_to(points, (rows, num_blocks)).astype(np.uint8)
    per_byte = 8 // bits
    padded = np.pad(spread, ((0, 0), (0, -num_blocks % per_byte))).reshape(rows, -1, per_byte)
    shifted = padded << (bits * np.arange(per_byte, dtype=np.uint8))
    return np.asarray(np.bitwise_or.reduce(shifted, axis=2), np.uint8)
