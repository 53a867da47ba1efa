"""One product twice in a file of a kilobyte, with packed and with fp32 weights: for the runtime's self-test."""

from __future__ import annotations

import onnx
from onnx import TensorProto as Types
from onnx import helper

from pipeline.export.onnx.graphs.graph import CONTRIB, model_of

FAST_BLOCKS = {2: (32, 64, 128), 4: (32, 64, 128, 256), 8: (32, 64, 128, 256)}


def speed_model(k: int, n: int, bits: int, block: int) -> onnx.ModelProto:
    """A graph with the inputs `x` (1, k), `packed` and the output `y` (1, n): `packed` chooses the weights.

    The weights are constants that onnxruntime fills in at load, so that the file does not hold them; how long a
    product takes does not depend on them.

    Args:
        k: input features, a multiple of `block`.
        n: output features.
        bits: of the packed weights: 2, 4 or 8.
        block: weights that share a scale.
    """
    if block not in FAST_BLOCKS.get(bits, ()) or k % block:
        raise ValueError(f"bits={bits} in blocks of {block} for {k} features has no fast kernel")
    num_blocks = k // block
    packed = [
        *_constant("codes", (n, num_blocks, block * bits // 8), Types.UINT8, 0b01010101),
        *_constant("scales", (n, num_blocks), Types.FLOAT, 0.01),
        helper.make_node(
            "MatMulNBits",
            ["x", "codes", "scales"],
            ["stored"],
            domain=CONTRIB,
            K=k,
            N=n,
            bits=bits,
            block_size=block,
            accuracy_level=4,
        ),
    ]
    plain = [
        *_constant("weights", (k, n), Types.FLOAT, -0.01),
        helper.make_node("MatMul", ["x", "weights"], ["fp32"]),
    ]
    choice = helper.make_node(
        "If",
        ["packed"],
        ["y"],
        then_branch=_branch("with_packed_weights", packed, "stored", n),
        else_branch=_branch("with_fp32_weights", plain, "fp32", n),
    )
    inputs = [
        helper.make_tensor_value_info("x", Types.FLOAT, [1, k]),
        helper.make_tensor_value_info("packed", Types.BOOL, []),
    ]
    graph = helper.make_graph([choice], "speed", inputs, [helper.make_tensor_value_info("y", Types.FLOAT, [1, n])])
    return model_of(graph)


def _branch(name: str, nodes: list[onnx.NodeProto], output: str, n: int) -> onnx.GraphProto:
    return helper.make_graph(nodes, name, [], [helper.make_tensor_value_info(output, Types.FLOAT, [1, n])])


def _constant(name: str, shape: tuple[int, ...], kind: int, value: float) -> list[onnx.NodeProto]:
    sizes = helper.make_tensor(f"{name}_sizes", Types.INT64, [len(shape)], shape)
    return [
        helper.make_node("Constant", [], [f"{name}_shape"], value=sizes),
        helper.make_node(
            "ConstantOfShape", [f"{name}_shape"], [name], value=helper.make_tensor(f"{name}_value", kind, [1], [value])
        ),
    ]
