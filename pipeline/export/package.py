"""A packed student as a folder: real bits in safetensors, a manifest, the tokenizer.

    model.safetensors   packed codes, scales, and the remaining fp32 tensors; tied matrices once
    manifest.json       format, who wrote it, scheme, layer maps, decoding, packed modules, SHA-256 of every file and of
                        itself
    config.json         the architecture, as transformers writes it
    tokenizer files     as transformers writes them

What is evaluated is this folder, loaded; its `model.safetensors` is the size that is reported. Nothing else may lie in
it, and everything in it is compared with everything else before a tensor is read (`package_schema`).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from pipeline.config.errors import NonFiniteError, UserError, sentence_of
from pipeline.config.sections.task import DecodingConfig
from pipeline.evaluation.generate import generation_config
from pipeline.export.package_config import read_model_config
from pipeline.export.package_manifest import FORMAT as FORMAT
from pipeline.export.package_manifest import MANIFEST as MANIFEST
from pipeline.export.package_manifest import WEIGHTS as WEIGHTS
from pipeline.export.package_manifest import PackageInfo as PackageInfo
from pipeline.export.package_manifest import PackedEntry, read_manifest, write_manifest
from pipeline.export.package_schema import check_values, checked_entries
from pipeline.export.plain_tensors import plain_tensors
from pipeline.models.families import family_of
from pipeline.models.special_tokens import special_tokens
from pipeline.models.student import assemble_packed
from pipeline.quantization.packed_layers import PackedWeight, packed_weights


def write_package(folder: Path, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, info: PackageInfo) -> int:
    """Write a packed model into an empty folder.

    Returns:
        Size of `model.safetensors` in bytes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    packed = packed_weights(model)
    first_name: dict[int, str] = {}
    for name, weight in packed.items():
        first_name.setdefault(id(weight), name)
    tensors = {name: tensor.cpu().contiguous() for name, tensor in plain_tensors(model, packed).items()}
    for name, weight in packed.items():
        if first_name[id(weight)] == name:
            for part, tensor in weight.named_buffers():
                tensors[f"{name}.{part}"] = tensor.cpu().contiguous()
    save_file(tensors, folder / WEIGHTS)
    model.config.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    entries = {
        name: PackedEntry(
            stored_as=first_name[id(weight)],
            bits=weight.bits,
            shape=list(weight.shape),
            zero="per block" if isinstance(weight.zero, Tensor) else weight.zero,
            divides=weight.divides,
        )
        for name, weight in packed.items()
    }
    write_manifest(folder, info, entries)
    return (folder / WEIGHTS).stat().st_size


def load_package(folder: Path) -> tuple[PreTrainedModel, PackageInfo]:
    """A packed model that runs, in evaluation mode.

    Raises:
        UserError: not a package, another format, a missing, changed or additional file, parts that do not agree with
            each other, values that no student has.
    """
    manifest = read_manifest(folder)
    info, config = manifest.info, read_model_config(folder, manifest.info)
    entries = checked_entries(folder, manifest, config)
    try:
        tensors = load_file(folder / WEIGHTS)
    except (OSError, SafetensorError) as error:
        raise UserError(f"{folder / WEIGHTS}: {error}", "a readable package", "export the student again") from error
    shared = _packed(entries, tensors)
    check_values(folder, tensors, shared)
    weights = {name: shared[entry.stored_as] for name, entry in entries.items()}
    try:
        model = assemble_packed(config, info.scheme, weights, info.heads)
        model.load_state_dict(tensors, strict=False)  # the names were compared; what is computed is not stored
        if family_of(config).decoder is not None:
            model.generation_config = generation_config(config, info.decoding)  # decodes as it was evaluated
        _check_logits(model.requires_grad_(False).eval())
    except MemoryError:
        raise
    except Exception as error:  # whatever a layer says to a setting of a type or size that it does not expect
        given = f"{folder} cannot be run: {type(error).__name__}: {sentence_of(error)}"
        raise UserError(given, "a package whose parts agree", "export the student again") from error
    return model, info


def default_decoding(folder: Path) -> DecodingConfig | None:
    """How a package decodes unless it is told otherwise, without reading its weights; nothing for a classifier.

    Raises:
        UserError: as of `load_package`, but for its tensors.
    """
    info = read_manifest(folder).info
    return None if family_of(read_model_config(folder, info)).decoder is None else info.decoding


def file_bytes(folder: Path) -> int:
    """Bytes of the weights of a package or of a folder made by `save_pretrained`."""
    return sum(path.stat().st_size for path in folder.glob("*.safetensors"))


def _packed(entries: Mapping[str, PackedEntry], tensors: dict[str, Tensor]) -> dict[str, PackedWeight]:
    """Stored name -> packed weight, taken out of the tensors of a file that was checked."""
    shared: dict[str, PackedWeight] = {}
    for entry in entries.values():
        if (stored := entry.stored_as) not in shared:
            codes, scale = (tensors.pop(f"{stored}.{part}") for part in ("codes", "scale"))
            zero = tensors.pop(f"{stored}.zero") if isinstance(entry.zero, str) else entry.zero
            shape = tuple(entry.shape)
            shared[stored] = PackedWeight(codes, scale, zero, bits=entry.bits, shape=shape, divides=entry.divides)
    return shared


@torch.no_grad()
def _check_logits(model: PreTrainedModel) -> None:
    """Let a model read one token and say one: settings that contradict each other show there."""
    tokens = special_tokens(model.config)
    ids = torch.tensor([[next(iter(tokens.ends), 0)]])
    start = {} if family_of(model.config).decoder is None else {"decoder_input_ids": torch.tensor([[tokens.start]])}
    logits = model(input_ids=ids, attention_mask=torch.ones_like(ids), **start).logits
    if not torch.isfinite(logits).all():
        raise NonFiniteError("its logits are NaN or infinite")
