"""What must lie in a package follows from its configuration and scheme: known before a tensor is read, and compared.

A model of the configuration is built without memory and told which heads it lost; it says which modules are packed,
how, and what every tensor of the file is. So a file can make nobody take more memory than it has bytes for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor
from transformers import PretrainedConfig, PreTrainedModel

from pipeline.config.errors import UserError, sentence_of
from pipeline.export.package_bytes import DTYPES, StoredTensor, one_block, stored_tensors
from pipeline.export.package_manifest import CONFIG, MANIFEST, WEIGHTS, Manifest, PackedEntry
from pipeline.export.plain_tensors import LOGITS_BIAS
from pipeline.models.student import meta_model, sites_of
from pipeline.pruning.removal import remove_heads
from pipeline.quantization.packed_layers import PackedWeight
from pipeline.quantization.packing import largest_byte
from pipeline.quantization.prepare import quantized_weights
from pipeline.quantization.scheme import Scheme
from pipeline.runtime.manifest_file import AGAIN, difference

TYPES = {name: dtype for dtype, name in DTYPES.items()}


def checked_entries(folder: Path, manifest: Manifest, config: PretrainedConfig) -> dict[str, PackedEntry]:
    """Check that the modules of a manifest and the tensors of a file are those of a student, before any is read.

    Args:
        folder: the package.
        manifest: what it says of itself.
        config: of its model.

    Returns:
        its packed modules by name.

    Raises:
        UserError: the first module or tensor that is missing, has no place, or is of another shape, type or form.
    """
    stored = _stored(folder / WEIGHTS)
    if sum(manifest_layers := (len(manifest.info.encoder_map), len(manifest.info.decoder_map))) > len(stored):
        raise UserError(f"{folder}: {manifest_layers} layers in {len(stored)} tensors", "some for each", AGAIN)
    try:
        student = meta_model(config)
        remove_heads(student, sites_of(student), manifest.info.heads)
        entries = packed_entries(student, manifest.info.scheme)
        wanted = {one.name: one for one in stored_tensors(student, manifest.info.scheme)}
    except UserError as error:
        raise UserError(f"{folder}: {error}", "a package whose parts agree", AGAIN) from None
    except Exception as error:  # sizes that do not go together have as many errors as there are layers
        given = f"{folder / CONFIG} describes no model: {sentence_of(error)}"
        raise UserError(given, "a package whose parts agree", AGAIN) from error
    if place := difference(manifest.packed, {name: asdict(entry) for name, entry in entries.items()}):
        what = f"{folder / MANIFEST}: packed.{place} is missing, or not that of a {manifest.info.scheme.name} student"
        raise UserError(what, "modules as configuration and scheme have them", AGAIN)
    _check_tensors(folder, stored, wanted)
    return entries


def packed_entries(student: PreTrainedModel, scheme: Scheme) -> dict[str, PackedEntry]:
    """What a manifest says of every packed module of a student.

    Args:
        student: the plain student, without memory, too.
        scheme: its bits.
    """
    sites = sites_of(student)
    tables = {*sites.embeddings, *sites.positions, sites.lm_head}
    modules = {id(student.get_submodule(name)): (name, bits) for name, bits in quantized_weights(sites, scheme).items()}
    first: dict[int, str] = {}
    entries = {}
    for name, module in student.named_modules():
        if id(module) not in modules:
            continue
        site, bits = modules[id(module)]
        weight: Any = module.weight
        quantizer = scheme.embedding_quantizer(bits) if site in tables else scheme.weight_quantizer(bits)
        block = one_block(quantizer, weight.dtype)
        entries[name] = PackedEntry(
            stored_as=first.setdefault(id(weight), name),
            bits=block.bits,
            shape=list(weight.shape),
            zero="per block" if isinstance(block.zero, Tensor) else block.zero,
            divides=block.divides,
        )
    return entries


def check_values(folder: Path, tensors: Mapping[str, Tensor], packed: Mapping[str, PackedWeight]) -> None:
    """Check that what was read is what packing writes: scales above zero, grids within their bits, finite numbers.

    Args:
        folder: the package.
        tensors: those that are not packed.
        packed: stored name -> packed weight.

    Raises:
        UserError: the first tensor that is not.
    """
    for name, weight in packed.items():
        lowest, highest = -(2 ** (int(weight.bits + 0.5) - 1)), 2 ** (int(weight.bits + 0.5) - 1) - 1
        zeros = weight.zero if isinstance(weight.zero, Tensor) else torch.zeros(1)
        bad = {
            "scale": not bool((torch.isfinite(weight.scale) & (weight.scale > 0)).all()),
            "zero": bool(((zeros < lowest) | (zeros > highest)).any()),
            "codes": bool((weight.codes > largest_byte(weight.bits)).any()),
        }
        if part := next((part for part, is_bad in bad.items() if is_bad), None):
            raise _bad_value(folder, f"{name}.{part}")
    for name, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            raise _bad_value(folder, name)


def _bad_value(folder: Path, name: str) -> UserError:
    return UserError(f"{folder / WEIGHTS}: {name} holds what no student has", "values as packing writes them", AGAIN)


def _stored(path: Path) -> dict[str, StoredTensor]:
    """Every tensor as the header of a file describes it; the library compares the header with the file's size."""
    try:
        with safe_open(path, framework="pt") as file:
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
            found = {name: (one.get_dtype(), tuple(one.get_shape())) for name, one in slices.items()}
    except Exception as error:  # those of the library, of the system, and of what it finds in the header
        raise UserError(f"{path}: {error}", "a readable package", AGAIN) from error
    if foreign := [name for name, (kind, _) in found.items() if kind not in TYPES]:
        raise UserError(f"{path}: {foreign[0]} of type {found[foreign[0]][0]}", "types that packages have", AGAIN)
    return {name: StoredTensor(name, TYPES[kind], shape) for name, (kind, shape) in found.items()}


def _check_tensors(folder: Path, stored: Mapping[str, StoredTensor], wanted: Mapping[str, StoredTensor]) -> None:
    lacking = sorted(set(wanted) - set(stored) - {LOGITS_BIAS})
    if lacking:
        raise UserError(f"{folder} lacks {lacking[0]}", "a complete package", "export the student again")
    if foreign := sorted(set(stored) - set(wanted)):
        raise UserError(f"{folder} holds {foreign[0]}, which its model has no place for", "a package alone", AGAIN)
    for name, found in sorted(stored.items()):
        if found != wanted[name]:
            given = f"{folder} holds {name} as {found.dtype} of shape {found.shape}"
            raise UserError(given, f"{wanted[name].dtype} of shape {wanted[name].shape}", AGAIN)
