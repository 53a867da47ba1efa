"""A graph under construction. A door to onnx."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from pipeline.export.onnx.graphs.weights_file import Array, WeightsFile

OPSET, IR_VERSION = 21, 10
CONTRIB = "com.microsoft"  # operators of onnxruntime, which its builds for phones and browsers have, too
CONTRIB_KINDS = {"MatMulNBits", "GatherBlockQuantized", "MatMulIntegerToFloat"}
INLINE_BYTES = 64  # what is no larger stays in the graph

Made = TypeVar("Made")


class Graph:
    """Operators in the order they are added; values are names.

    Args:
        weights: where large tensors go.
    """

    def __init__(self, weights: WeightsFile) -> None:
        self.weights = weights
        self.inputs: list[Any] = []
        self.outputs: list[Any] = []
        self._nodes: list[Any] = []
        self._arrays: dict[str, Array] = {}
        self._inline: set[str] = set()
        self._renamed: dict[str, str] = {}
        self._origins: dict[str, str] = {}
        self._shared: dict[Any, Any] = {}
        self._counts: dict[str, int] = {}

    def input(self, name: str, dtype: type[Any], shape: Sequence[str | int]) -> str:
        """Declare an input of the graph."""
        self.inputs.append(helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), shape))
        return name

    def output(self, name: str, value: str, dtype: type[Any], shape: Sequence[str | int]) -> None:
        """Make a value an output of the graph under a name."""
        self._renamed[value] = name
        self.outputs.append(
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), shape)
        )

    def op(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Add an operator with one output."""
        name, domain = self._new_name(kind), CONTRIB if kind in CONTRIB_KINDS else ""
        self._nodes.append(helper.make_node(kind, inputs, [name], name=name, domain=domain, **attributes))
        return name

    def split(self, value: str, sizes: Sequence[int], axis: int) -> list[str]:
        """Runs of these lengths along an axis."""
        if len(sizes) == 1:
            return [value]
        name = self._new_name("Split")
        outputs = [f"{name}_{i}" for i in range(len(sizes))]
        lengths = self.constant(sizes, np.int64)
        self._nodes.append(helper.make_node("Split", [value, lengths], outputs, name=name, axis=axis))
        return outputs

    def once(self, key: Any, make: Callable[[], Made]) -> Made:
        """What is made once in this graph: the first `make()` under a key."""
        if key not in self._shared:
            self._shared[key] = make()
        made: Made = self._shared[key]
        return made

    def constant(self, value: Any, dtype: type[Any] = np.float32) -> str:
        """A small constant, the same for everyone who asks for its value."""
        array = np.asarray(value, dtype)
        key = (array.dtype.str, array.shape, array.tobytes())
        return self.once(key, lambda: self._initialise(self._new_name("constant"), array, inline=True))

    def weight(self, name: str, array: Array) -> str:
        """A tensor of the weights file, known by its name."""
        return name if name in self._arrays else self._initialise(name, array)

    def cast(self, value: str, dtype: type[Any]) -> str:
        """The value in another type."""
        return self.op("Cast", value, to=helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))

    def fold(self) -> None:
        """Compute now what depends on no input: runtimes that do not do it when they load find constants."""
        varying = {value.name for value in self.inputs}
        for node in self._nodes:
            if varying & set(node.input):
                varying |= set(node.output)
        used = {name for node in self._nodes if varying & set(node.output) for name in node.input}
        made = {name for node in self._nodes for name in node.output}
        wanted = sorted((used & made) - varying)
        origins = {name: self._origin(name) for name in wanted}
        for name, array in zip(wanted, self.evaluated(wanted), strict=True):
            self._initialise(name, array, inline=array.nbytes <= INLINE_BYTES)
            self._origins[name] = origins[name]
        self._nodes = [node for node in self._nodes if varying & set(node.output)]

    def _origin(self, value: str) -> str:
        """The first tensor of the weights file that a value is made of."""
        _, needed = self._before({value})
        return next((name for name in self._arrays if name in needed and name not in self._inline), value)

    def evaluated(self, values: list[str]) -> list[Array]:
        """Values that depend on no input, computed now."""
        nodes, needed = self._before(set(values))
        initialisers = [numpy_helper.from_array(self._arrays[name], name) for name in needed if name in self._arrays]
        outputs = [onnx.ValueInfoProto(name=value) for value in values]
        graph = helper.make_graph(nodes, "constants", [], outputs, initialisers)
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        session = onnxruntime.InferenceSession(
            model_of(graph).SerializeToString(), options, providers=["CPUExecutionProvider"], enable_fallback=0
        )
        return [np.asarray(array) for array in session.run(values, {})]

    def save(self, path: Path) -> None:
        """Write the graph; what no output depends on is left out."""
        nodes, needed = self._before(set(self._renamed))
        for node in nodes:
            for names in (node.input, node.output):
                names[:] = [self._renamed.get(name, name) for name in names]
        initialisers = [self._stored(name) for name in self._arrays if name in needed]
        inputs = [value for value in self.inputs if value.name in needed]
        path.write_bytes(
            model_of(helper.make_graph(nodes, path.stem, inputs, self.outputs, initialisers)).SerializeToString()
        )

    def _before(self, values: set[str]) -> tuple[list[Any], set[str]]:
        """The operators that values depend on, in their order, and the names of all they read and write."""
        needed, nodes = set(values), list[Any]()
        for node in reversed(self._nodes):
            if needed & set(node.output):
                nodes.append(node)
                needed |= set(node.input)
        return nodes[::-1], needed

    def _stored(self, name: str) -> Any:
        array = self._arrays[name]
        if name in self._inline:
            return numpy_helper.from_array(array, name)
        place = self.weights.place(self._origins.get(name, name), array)
        tensor = TensorProto(
            name=name,
            data_type=helper.np_dtype_to_tensor_dtype(array.dtype),
            dims=array.shape,
            data_location=TensorProto.EXTERNAL,
        )
        for key, value in (("location", self.weights.path.name), ("offset", place.offset), ("length", place.length)):
            tensor.external_data.add(key=key, value=str(value))
        return tensor

    def _initialise(self, name: str, array: Array, inline: bool = False) -> str:
        self._arrays[name] = array
        if inline or array.nbytes <= INLINE_BYTES:
            self._inline.add(name)
        return name

    def _new_name(self, kind: str) -> str:
        self._counts[kind] = self._counts.get(kind, 0) + 1
        return f"{kind}_{self._counts[kind]}"


def model_of(graph: Any) -> Any:
    """A graph with the operator sets that all of them use."""
    domains = [helper.make_opsetid("", OPSET), helper.make_opsetid(CONTRIB, 1)]
    return helper.make_model(graph, opset_imports=domains, ir_version=IR_VERSION, producer_name="dq-pipeline")
