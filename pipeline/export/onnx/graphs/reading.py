"""What a loaded package says of its layers, in the words of the graphs."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from pipeline.config.errors import UserError
from pipeline.export.onnx.graphs.activations import Activations
from pipeline.export.onnx.graphs.linear import Linear
from pipeline.export.onnx.graphs.matrices import Matrix
from pipeline.export.onnx.graphs.weights_file import Array
from pipeline.quantization.attention import AttentionFakeQuantize
from pipeline.quantization.fake_quantize import ActivationFakeQuantize
from pipeline.quantization.layers import QuantizedInput, mixins_of
from pipeline.quantization.packed_layers import HasPackedWeight, PackedWeight
from pipeline.quantization.quantizers import round_scale

ACTIVATIONS = {
    "GELUActivation": "gelu",
    "GELU": "gelu",
    "NewGELUActivation": "gelu_tanh",
    "GELUTanh": "gelu_tanh",
    "ReLU": "relu",
    "SiLU": "silu",
    "SiLUActivation": "silu",
    "Tanh": "tanh",
}


class Reader:
    """A packed model read layer by layer; layers that share a matrix name the same one.

    Args:
        model: as `load_package` returns it.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        self.model = model
        self._names: dict[int, str] = {}

    def linear(self, name: str) -> Linear:
        """The linear layer of that name."""
        layer = self.model.get_submodule(name)
        assert isinstance(layer, nn.Linear), name
        quantize = layer.activation_quantize if QuantizedInput in mixins_of(layer) else None
        activations = activations_of(quantize) if isinstance(quantize, ActivationFakeQuantize) else None
        return Linear(matrix=self.matrix(name), bias=self._bias(name, layer), activations=activations)

    def matrix(self, name: str) -> Matrix:
        """The weight of the layer or table of that name."""
        layer: Any = self.model.get_submodule(name)
        if isinstance(layer, HasPackedWeight):
            packed: PackedWeight = layer.packed
            rows, columns = packed.shape
            return Matrix(name=self._names.setdefault(id(packed), name), shape=(rows, columns), packed=packed)
        weight: torch.Tensor = layer.weight
        rows, columns = weight.shape
        stored = self._names.setdefault(weight.data_ptr(), f"{name}.weight")
        return Matrix(name=stored, shape=(rows, columns), values=_float32(weight))

    def vector(self, name: str) -> tuple[str, Array]:
        """A parameter or buffer of one axis, under its name."""
        module, _, attribute = name.rpartition(".")
        return name, _float32(getattr(self.model.get_submodule(module), attribute)).reshape(-1)

    def attention(self, name: str) -> dict[str, Activations]:
        """The quantizers of an attention module's operands by role; empty if it has none."""
        module = self.model.get_submodule(name)
        quantize = getattr(module, "attention_quantize", None)
        if not isinstance(quantize, AttentionFakeQuantize):
            return {}
        found = {role: activations_of(getattr(quantize, role)) for role in ("query", "key", "value", "probabilities")}
        return {role: activations for role, activations in found.items() if activations is not None}

    def function(self, name: str) -> str:
        """The activation function at a dotted name: gelu, gelu_tanh, relu, silu, tanh.

        Raises:
            UserError: another one.
        """
        module, _, attribute = name.rpartition(".")
        found: Any = getattr(self.model.get_submodule(module), attribute)
        kind = type(found).__name__
        if kind not in ACTIVATIONS:
            raise UserError(f"activation function {kind} of {name}", ", ".join(sorted(ACTIVATIONS)), "use torch")
        return ACTIVATIONS[kind]

    def _bias(self, name: str, layer: nn.Linear) -> tuple[str, Array] | None:
        return None if layer.bias is None else (f"{name}.bias", _float32(layer.bias))


def activations_of(module: ActivationFakeQuantize) -> Activations | None:
    """The quantizer of a place, with its learned scale."""
    quantizer = module.active
    if quantizer is None:
        return None
    step = None
    if module.parameter is not None:
        step = float(round_scale(module.parameter.detach().exp(), quantizer.blocks))
    return Activations(quantizer=quantizer, step=step)


def _float32(tensor: torch.Tensor) -> Array:
    return tensor.detach().cpu().float().contiguous().numpy()
