"""A packed student as a folder: real bits in safetensors, a manifest, the tokenizer.

    model.safetensors   packed codes, scales, and the remaining fp32 tensors; tied matrices once
    manifest.json       format, who wrote it, scheme, layer maps, decoding, packed modules, SHA-256 of every file
    config.json         the architecture, as transformers writes it
    tokenizer files     as transformers writes them

What is evaluated is this folder, loaded; its `model.safetensors` is the size that is reported.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from pipeline import WRITTEN_BY
from pipeline.config.build import build
from pipeline.config.errors import UserError
from pipeline.config.sections.recipe import QuantizationConfig
from pipeline.config.sections.task import DecodingConfig
from pipeline.data.pretrained import read_config
from pipeline.evaluation.generate import generation_config
from pipeline.models.families import family_of
from pipeline.models.student import assemble_packed
from pipeline.quantization.packed_layers import PackedWeight, packed_weights
from pipeline.quantization.scheme import Scheme, scheme_of
from pipeline.runtime.manifest import FIRST_VERSION, Earlier, as_written_today, check_format
from pipeline.storage.digests import sha256_of

FORMAT = "dq-packed/4"
WEIGHTS = "model.safetensors"
MANIFEST = "manifest.json"
MANIFEST_KEYS = {"format", "sha256", "packed", "scheme", "scheme_name", "decoding"}
OWN_KEYS = (
    "encoder_map",
    "decoder_map",
    "heads",
    "source_prefix",
    "source_language",
    "target_language",
    "max_source_tokens",
)
MANIFEST_KEYS |= set(OWN_KEYS)
SECTIONS = ("sha256", "packed", "scheme", "decoding", "heads")


@dataclass(frozen=True, kw_only=True)
class PackageInfo:
    """What a package says of itself beside its weights."""

    scheme: Scheme
    encoder_map: list[int]
    decoder_map: list[int]
    heads: dict[str, list[int]]  # attention module -> heads of the teacher's layer that are left; else all
    decoding: DecodingConfig
    source_prefix: str
    source_language: str | None
    target_language: str | None
    max_source_tokens: int


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
    manifest = {
        "format": FORMAT,
        "written_by": WRITTEN_BY,
        **asdict(info),
        "scheme_name": info.scheme.name,
        "packed": {
            name: {
                "stored_as": first_name[id(weight)],
                "bits": weight.bits,
                "shape": list(weight.shape),
                "zero": "per block" if isinstance(weight.zero, Tensor) else weight.zero,
                "divides": weight.divides,
            }
            for name, weight in packed.items()
        },
        "sha256": {path.name: sha256_of(path) for path in sorted(folder.iterdir()) if path.name != MANIFEST},
    }
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=2))
    return (folder / WEIGHTS).stat().st_size


def load_package(folder: Path) -> tuple[PreTrainedModel, PackageInfo]:
    """A packed model that runs, in evaluation mode.

    Raises:
        UserError: not a package, a newer format, a missing or changed file.
    """
    manifest = _read_manifest(folder)
    info = _info(folder, manifest)
    try:
        tensors = load_file(folder / WEIGHTS)
    except (OSError, SafetensorError) as error:
        raise UserError(f"{folder / WEIGHTS}: {error}", "a readable package", "export the student again") from error
    shared: dict[str, PackedWeight] = {}
    weights = {}
    for name, entry in manifest["packed"].items():
        stored = entry["stored_as"]
        if stored not in shared:
            parts = ("codes", "scale", "zero") if entry["zero"] == "per block" else ("codes", "scale")
            for part in parts:
                if f"{stored}.{part}" not in tensors:
                    raise UserError(f"{folder} lacks {stored}.{part}", "a complete package", "export the student again")
            codes, scale, *zero = (tensors.pop(f"{stored}.{part}") for part in parts)
            zero_or_constant = zero[0] if zero else float(entry["zero"])
            form = {"bits": entry["bits"], "shape": tuple(entry["shape"]), "divides": entry["divides"]}
            shared[stored] = PackedWeight(codes, scale, zero_or_constant, **form)
        weights[name] = shared[stored]
    model = assemble_packed(read_config(folder), info.scheme, weights, info.heads)
    model.load_state_dict(tensors, strict=False)
    missing = set(plain_tensors(model, weights)) - set(tensors)
    if missing:
        raise UserError(f"{folder} lacks {sorted(missing)[0]}", "a complete package", "export the student again")
    if family_of(model.config).decoder is not None:
        model.generation_config = generation_config(model.config, info.decoding)  # decodes as it was evaluated
    return model.requires_grad_(False).eval(), info


def default_decoding(folder: Path) -> DecodingConfig | None:
    """How a package decodes unless it is told otherwise, without reading its weights; nothing for a classifier.

    Raises:
        UserError: not a package, a newer format, a missing or changed file.
    """
    info = _info(folder, _read_manifest(folder))
    return None if family_of(read_config(folder)).decoder is None else info.decoding


def _info(folder: Path, manifest: dict[str, Any]) -> PackageInfo:
    try:
        return PackageInfo(
            scheme=scheme_of(manifest["scheme_name"], build(QuantizationConfig, manifest["scheme"]["quantization"])),
            decoding=build(DecodingConfig, manifest["decoding"]),
            **{k: manifest[k] for k in OWN_KEYS},
        )
    except (UserError, KeyError, TypeError) as error:
        raise UserError(
            f"{folder / MANIFEST}: {error}", "a whole manifest", "export the packed student again"
        ) from None


def plain_tensors(model: PreTrainedModel, packed: Collection[str]) -> dict[str, Tensor]:
    """Tensors that are not packed, each once, where they lie.

    An all-zero logits bias is what a new model has, so it is left out.

    Args:
        model: a packed model.
        packed: names of its packed modules.
    """
    tensors: dict[str, Tensor] = {}
    seen: set[int] = set()
    inside = tuple(f"{name}.packed." for name in packed)
    computed = family_of(model.config).computed
    for name, tensor in model.state_dict().items():
        if name.startswith(inside) or name in computed or tensor.data_ptr() in seen:
            continue
        if name == "final_logits_bias" and not tensor.any():
            continue
        seen.add(tensor.data_ptr())
        tensors[name] = tensor
    return tensors


def _read_manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    change = "name a folder that a sweep has written (.../packed)"
    try:
        manifest = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError) as error:  # also text that is no UTF-8 or no JSON
        raise UserError(f"{folder} is not a packed model: {error}", f"a folder with {MANIFEST}", change) from None
    if not isinstance(manifest, dict):
        raise UserError(f"{path} is not the manifest of a packed model", "a JSON object", change)
    manifest = as_written_today(manifest, EARLIER)
    check_format(manifest, path, FORMAT, EARLIER)
    no_section = {name for name in SECTIONS if not isinstance(manifest.get(name), dict)}
    if lacking := sorted(no_section | MANIFEST_KEYS - set(manifest)):
        raise UserError(f"{path} lacks '{lacking[0]}'", "a whole manifest", "export the packed student again")
    for name, digest in manifest["sha256"].items():
        file = folder / name
        if not file.is_file() or sha256_of(file) != digest:
            state = "has changed" if file.is_file() else "is missing"
            raise UserError(f"{file} {state}", "files as they were exported (SHA-256)", "copy or export it again")
    return manifest


def _from_3(manifest: dict[str, Any]) -> dict[str, Any]:
    """Format 4 spells a key of the scheme another way, and says who wrote it."""
    scheme = manifest.get("scheme")
    if isinstance(scheme, dict) and "quantisation" in scheme:
        scheme = {"quantization" if name == "quantisation" else name: value for name, value in scheme.items()}
    return {**manifest, "format": "dq-packed/4", "written_by": FIRST_VERSION, "scheme": scheme}


EARLIER: Earlier = {"dq-packed/3": _from_3}


def file_bytes(folder: Path) -> int:
    """Bytes of the weights of a package or of a folder made by `save_pretrained`."""
    return sum(path.stat().st_size for path in folder.glob("*.safetensors"))
