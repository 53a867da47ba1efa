"""Graphs read the very numbers of a package."""

import numpy as np
import pytest
import torch
from torch import nn

from pipeline.export.onnx.graphs.graph import Graph
from pipeline.export.onnx.graphs.matrices import Matrix, floats, has_integers, integers, row_scale
from pipeline.export.onnx.graphs.nbits import block_of, nbits
from pipeline.export.onnx.graphs.weights_file import WeightsFile
from pipeline.quantization.blocks import Blocks
from pipeline.quantization.fake_quantize import WeightFakeQuantize
from pipeline.quantization.learned import StretchedElastic
from pipeline.quantization.packed_layers import pack_weight
from pipeline.quantization.quantizers import Asymmetric, Elastic, Symmetric, Ternary

ROWS, COLUMNS = 7, 64
GROUPS = Blocks("group", 32)


def matrix_of(quantizer):
    """A random matrix with a row of zeros, packed."""
    weight = nn.Parameter(torch.randn(ROWS, COLUMNS, generator=torch.Generator().manual_seed(0)) * 0.1)
    weight.data[3] = 0.0
    packed = pack_weight(weight.detach(), WeightFakeQuantize(quantizer, weight))
    return Matrix(name="layer", shape=(ROWS, COLUMNS), packed=packed), packed.value().numpy()


@pytest.fixture
def graph(tmp_path):
    """An empty graph."""
    return Graph(WeightsFile(tmp_path / "weights.bin"))


@pytest.fixture(
    params=[
        Symmetric(bits=4, blocks=GROUPS),
        Ternary(blocks=GROUPS),
        Elastic(bits=1, blocks=GROUPS),
        StretchedElastic(bits=2, blocks=GROUPS),
        Asymmetric(bits=3, blocks=GROUPS),
    ],
    ids=str,
)
def grouped(request):
    """Quantizers with several scales in a row."""
    return request.param


def test_unpacked_values_are_those_of_the_package(graph, quantizer):
    """Every quantizer at every number of bits, bit for bit."""
    matrix, values = matrix_of(quantizer)
    np.testing.assert_array_equal(graph.evaluated([floats(graph, matrix)])[0], values)


def test_integers_times_scales_are_the_values(graph, quantizer):
    """Integer products compute with the very weights of the package."""
    matrix, values = matrix_of(quantizer)
    if has_integers(matrix):
        whole, scale = graph.evaluated([integers(graph, matrix), row_scale(graph, matrix)])
        assert whole.dtype == np.int8
        np.testing.assert_array_equal(whole.T * scale[:, None], values)
    else:
        assert isinstance(quantizer, Asymmetric) and quantizer.bits == 8  # differences of two bytes are no byte


def low_bit_values(graph, form, rows):
    """What MatMulNBits computes with, from its operands."""
    data, scale = graph.evaluated([form.data, form.scale])
    shifts = np.arange(0, 8, form.bits, dtype=np.uint8)
    stored = ((data[..., None] >> shifts) & (2**form.bits - 1)).reshape(rows, -1, form.block)
    zero = np.full(scale.shape, 2.0 ** (form.bits - 1), np.float32)
    if form.zero:
        packed = graph.evaluated([graph.op("Identity", form.zero)])[0]
        unpacked = ((packed[..., None] >> shifts) & (2**form.bits - 1)).reshape(rows, -1)
        zero = unpacked[:, : scale.shape[1]].astype(np.float32)
    values = ((stored - zero[..., None]) * scale[..., None]).reshape(rows, -1)
    return values if form.shift is None else values + graph.evaluated([form.shift])[0][:, None]


@pytest.mark.parametrize("wide", [False, True])
def test_operands_of_low_bit_kernels_hold_the_values(graph, quantizer, wide):
    """Whatever storage is nearest to the bits: 1 and 1.58 as 2, 3 as 4, half steps as a shift or as wide codes."""
    matrix, values = matrix_of(quantizer)
    assert block_of(matrix) == 64
    np.testing.assert_array_equal(low_bit_values(graph, nbits(graph, matrix, wide), ROWS), values)


def test_groups_are_blocks_of_the_kernels(graph, grouped):
    """Scales within a row stay what they are."""
    matrix, values = matrix_of(grouped)
    form = nbits(graph, matrix, wide=matrix.half_step)
    assert form.block == 32
    np.testing.assert_array_equal(low_bit_values(graph, form, ROWS), values)
    np.testing.assert_array_equal(graph.evaluated([floats(graph, matrix)])[0], values)


def test_equal_bytes_are_stored_once(tmp_path):
    """Whatever they are called, and in whichever graph."""
    file = WeightsFile(tmp_path / "weights.bin")
    first, second = file.place("a", np.arange(9.0)), file.place("b", np.arange(9.0))
    file.place("c", np.arange(3.0))
    file.close()
    assert first == second and file.path.stat().st_size == 128 + 24
