"""Graphs quantize activations to the grids of training."""

import numpy as np
import onnxruntime
import pytest
import torch

from pipeline.export.onnx.graphs.activations import Activations, fake_quantized, integer_input
from pipeline.export.onnx.graphs.graph import Graph
from pipeline.export.onnx.graphs.weights_file import WeightsFile
from pipeline.quantization.blocks import ROW, TENSOR
from pipeline.quantization.learned import ElasticStep
from pipeline.quantization.quantizers import Asymmetric, Symmetric, grid_of, round_scale

PLACES = [(blocks, clip) for blocks in (ROW, TENSOR) for clip in (None, 2.5)]
QUANTIZERS = [
    *(Symmetric(bits=bits, blocks=blocks, clip_value=clip) for bits in (2, 4, 8) for blocks, clip in PLACES),
    *(Symmetric(bits=bits, blocks=blocks, signed=False) for bits in (2, 4, 8) for blocks in (ROW, TENSOR)),
    *(Symmetric(bits=8, blocks=blocks, clip_value=0.5, signed=False) for blocks in (ROW, TENSOR)),
    *(Asymmetric(bits=bits, blocks=blocks, clip_value=clip) for bits in (2, 4, 8) for blocks, clip in PLACES),
    *(ElasticStep(bits=bits, signed=signed) for bits in (2, 4, 8) for signed in (True, False)),
]
PUBLISHED = [Symmetric(bits=8, blocks=blocks, clip_value=2.5, as_published=True) for blocks in (ROW, TENSOR)]


@pytest.fixture
def values():
    """Rows of every size: ordinary, tiny, huge, constant, of both signs and of one, and a row of zeros."""
    rows = torch.randn(4000, 96, generator=torch.Generator().manual_seed(1))
    rows[1] *= 1e-20
    rows[2] *= 1e20
    rows[3], rows[4] = 0.75, 0.0
    rows[5], rows[6] = rows[5].abs(), -rows[6].abs()
    return rows


@pytest.fixture
def run(tmp_path):
    """Runs what a function builds on one input, and returns its values."""

    def run(build, x):
        graph = Graph(WeightsFile(tmp_path / "weights.bin"))
        outputs = build(graph, graph.input("x", np.float32, list(x.shape)))
        for name, (value, dtype) in outputs.items():
            graph.output(name, value, dtype, [None] * 2)
        graph.weights.close()
        graph.save(tmp_path / "graph.onnx")
        session = onnxruntime.InferenceSession(str(tmp_path / "graph.onnx"), providers=["CPUExecutionProvider"])
        return dict(zip(outputs, session.run(list(outputs), {"x": x}), strict=True))

    return run


def of(quantizer):
    """The quantizer with a learned scale, where it learns one; and what torch takes for it."""
    if not quantizer.learned:
        return Activations(quantizer=quantizer), None
    parameter = torch.tensor([-3.1])
    return Activations(quantizer=quantizer, step=float(round_scale(parameter.exp(), quantizer.blocks))), parameter


def input_of(quantizer, values):
    """What such a quantizer is given; one scale for all needs values of one size."""
    values = values.abs() if getattr(quantizer, "signed", True) is False else values
    return values if quantizer.blocks is ROW else values[7:]


@pytest.mark.parametrize("quantizer", QUANTIZERS, ids=str)
def test_fake_quantized_values_are_those_of_training(run, values, quantizer):
    """Bit for bit."""
    activations, parameter = of(quantizer)
    x = input_of(quantizer, values)
    expected = grid_of(x, quantizer, parameter).values().view(x.shape).numpy()
    got = run(lambda graph, name: {"y": (fake_quantized(graph, name, activations), np.float32)}, x.numpy())["y"]
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("quantizer", QUANTIZERS, ids=str)
def test_integer_inputs_are_the_codes_of_training(run, values, quantizer):
    """Bit for bit; but asymmetric grids round halves up and QuantizeLinear to even, which one in 10^5 values tells."""
    activations, parameter = of(quantizer)
    x = input_of(quantizer, values)
    expected = grid_of(x, quantizer, parameter).values().view(x.shape).numpy()
    middle = []

    def build(graph, name):
        made = integer_input(graph, name, activations)
        middle.append(made.middle)
        zero = {} if made.zero is None else {"zero": (made.zero, np.float32)}
        return {"codes": (made.codes, np.uint8), "scale": (graph.op("Identity", made.scale), np.float32), **zero}

    got = run(build, x.numpy())
    codes = got["codes"].astype(np.float32) - middle[0] - got.get("zero", np.float32(0))
    differs = codes * got["scale"] != expected
    assert differs.mean() <= (1e-5 if isinstance(quantizer, Asymmetric) else 0.0)


@pytest.mark.parametrize("quantizer", PUBLISHED, ids=str)
def test_published_arithmetic_is_followed_up_to_ties(run, values, quantizer):
    """DQ-BART multiplies by an inverse; a graph divides, so that one code in a thousand at most moves by one."""
    x = input_of(quantizer, values)
    expected = grid_of(x, quantizer).values().view(x.shape).numpy()
    activations = Activations(quantizer=quantizer)
    got = run(lambda graph, name: {"y": (fake_quantized(graph, name, activations), np.float32)}, x.numpy())["y"]
    assert (np.abs(got - expected) > 1e-6 * np.abs(expected)).mean() < 1e-3
