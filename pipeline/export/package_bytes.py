"""How many bytes of a package every module takes at every number of bits, known before anything is packed.

A safetensors file is eight bytes, a header of JSON, and the tensors one after the other. Codes, scales and zero points
have the types that packing gives them; what is not packed lies there as it is.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from transformers import PreTrainedModel

from pipeline.evaluation.sensitivity import Sensitivity
from pipeline.export.plain_tensors import place_of, plain_tensors
from pipeline.models.student import prepare_inputs, sharing_copy, sites_of
from pipeline.quantization.fake_quantize import WeightFakeQuantize
from pipeline.quantization.packed_layers import PackedWeight, pack_weight
from pipeline.quantization.packing import packed_size
from pipeline.quantization.prepare import module_bits, weight_modules
from pipeline.quantization.quantizers import Quantizer
from pipeline.quantization.scheme import NOT_QUANTIZED, Scheme
from pipeline.search.mixed_bits import BitChoice, BitOption

ALIGNMENT = 8  # of the header's end
# Later ones come first in a file.
DTYPES = {torch.uint8: "U8", torch.int8: "I8", torch.float16: "F16", torch.bfloat16: "BF16"}
DTYPES |= {torch.float32: "F32", torch.float64: "F64", torch.int64: "I64"}
ORDER = ("U8", "I8", "F16", "BF16", "F32", "F64", "I64")


class StoredTensor(NamedTuple):
    """A tensor of a safetensors file."""

    name: str
    dtype: torch.dtype
    shape: tuple[int, ...]

    @property
    def num_bytes(self) -> int:
        """Without its line in the header."""
        return math.prod(self.shape) * self.dtype.itemsize


@dataclass(frozen=True, kw_only=True)
class PackageBytes:
    """Bytes of a package's weights, taken apart so that they add up.

    Args:
        modules: module -> bits -> bytes of its weight and of its lines in the header.
        rest: all else: biases, norms, tables that are never quantized, learned scales of activations, the header's
            ends. Numbers in the header are taken to have as many digits as the largest: the file is at most as large as
            the sum, and less by some bytes per tensor. `package_bytes` says exactly how large it is.
    """

    modules: dict[str, dict[float, int]]
    rest: int


def package_bytes(model: PreTrainedModel, scheme: Scheme) -> int:
    """Bytes of `model.safetensors` in the package of a student, to the last one.

    Args:
        model: the plain student; it is not touched.
        scheme: its bits, patterns included.
    """
    tensors = stored_tensors(model, scheme)
    offset, header = 0, {}
    for one in sorted(tensors, key=lambda one: (-ORDER.index(DTYPES[one.dtype]), one.name)):
        header[one.name] = _entry(one, offset, offset + one.num_bytes)
        offset += one.num_bytes
    length = len(json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode())
    return 8 + length + -length % ALIGNMENT + offset


def bytes_by_bits(model: PreTrainedModel, scheme: Scheme, bits: Sequence[float]) -> PackageBytes:
    """What every module takes at each number of bits.

    Args:
        model: the plain student; it is not touched.
        scheme: its quantizers and bits of activations; its bits of weights do not matter.
        bits: which numbers of bits are offered; 32 is not quantized.
    """
    sites = sites_of(model)
    plain, weights = _split(model, scheme, weight_modules(sites, scheme))
    elsewhere = {place_of(tensor) for tensor in plain.values()}  # such as a tied head that is not quantized
    largest = sum(tensor.nbytes for tensor in model.state_dict().values())
    modules = {}
    for name, weight in weights.items():
        sizes = {}
        for count in bits:
            stored = _of_module(name, weight, scheme, count, is_table=name not in sites.linears)
            sizes[count] = sum(_line(one, largest) for one in stored)
            if count != NOT_QUANTIZED or place_of(weight) not in elsewhere:
                sizes[count] += sum(one.num_bytes for one in stored)
        modules[name] = sizes
    rest = [StoredTensor(name, tensor.dtype, tuple(tensor.shape)) for name, tensor in plain.items()]
    fixed = 8 + len("{}") + ALIGNMENT - 1
    return PackageBytes(modules=modules, rest=fixed + sum(_line(one, largest) + one.num_bytes for one in rest))


def bit_choices(found: Sequence[Sensitivity], sizes: PackageBytes) -> list[BitChoice]:
    """What an assignment of bits chooses from: the measured groups with their losses, and the bytes of their modules.

    Of a budget for the whole file, `sizes.rest` is spent already.
    """
    return [
        BitChoice(
            modules=one.modules,
            options=tuple(
                BitOption(bits=bits, num_bytes=sum(sizes.modules[name][bits] for name in one.modules), loss=rise)
                for bits, rise in one.rises.items()
            ),
        )
        for one in found
    ]


def stored_tensors(model: PreTrainedModel, scheme: Scheme) -> list[StoredTensor]:
    """Every tensor in the file of a student's package, in no order.

    Args:
        model: the plain student, without memory, too; it is not touched.
        scheme: its bits, patterns included.
    """
    sites = sites_of(model)
    bits = module_bits(sites, scheme)
    plain, weights = _split(model, scheme, [name for name, count in bits.items() if count != NOT_QUANTIZED])
    stored = [StoredTensor(name, tensor.dtype, tuple(tensor.shape)) for name, tensor in plain.items()]
    for name, weight in weights.items():
        stored += _of_module(name, weight, scheme, bits[name], is_table=name not in sites.linears)
    return stored


def _split(
    model: PreTrainedModel, scheme: Scheme, modules: Collection[str]
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """(what is stored as it is, module -> its weight) when the weights of these modules are packed."""
    other = sharing_copy(model)
    prepare_inputs(other, scheme)
    readers = weight_modules(sites_of(model), scheme)
    weights: dict[str, Tensor] = {}
    for name in modules:
        for layer in {id(layer): layer for layer in map(other.get_submodule, readers[name])}.values():
            weight = layer._parameters.pop("weight")
            assert weight is not None
            weights[name] = weight.detach()
    return plain_tensors(other, ()), weights


def _of_module(name: str, weight: Tensor, scheme: Scheme, bits: float, *, is_table: bool) -> list[StoredTensor]:
    """What is stored of a module's weight."""
    if bits == NOT_QUANTIZED:
        return [StoredTensor(f"{name}.weight", weight.dtype, tuple(weight.shape))]
    quantizer = scheme.embedding_quantizer(bits) if is_table else scheme.weight_quantizer(bits)
    blocks = quantizer.blocks.split(torch.empty(weight.shape, device="meta"))
    codes = StoredTensor(f"{name}.codes", torch.uint8, (packed_size(weight.numel(), quantizer.bits),))
    parts = one_block(quantizer, weight.dtype).named_buffers()
    shape = (*blocks.shape[:-1], 1)
    return [codes, *(StoredTensor(f"{name}.{part}", part_.dtype, shape) for part, part_ in parts if part != "codes")]


@functools.cache
def one_block(quantizer: Quantizer, dtype: torch.dtype) -> PackedWeight:
    """A single block as it is packed: it shows what is stored beside the codes, and what is a constant."""
    block = torch.ones(1, quantizer.blocks.size or 1, dtype=dtype)
    return pack_weight(block, WeightFakeQuantize(quantizer, block))


def _entry(tensor: StoredTensor, start: int, end: int) -> dict[str, object]:
    return {"dtype": DTYPES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [start, end]}


def _line(tensor: StoredTensor, largest: int) -> int:
    """Bytes of a tensor's line in the header, at most: its offsets as long as the largest."""
    line = {tensor.name: _entry(tensor, largest, largest)}
    return len(json.dumps(line, separators=(",", ":"), ensure_ascii=False).encode()) - len("{}") + len(",")
