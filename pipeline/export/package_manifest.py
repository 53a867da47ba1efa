"""What a package says of itself beside its weights: written, and read so that nothing is taken for something else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from pipeline.config.build import build, to_dict
from pipeline.config.errors import UserError
from pipeline.config.sections.recipe import ACTIVATION_BITS, WEIGHT_BITS, QuantizationConfig
from pipeline.config.sections.sweep import SCHEME_PATTERN
from pipeline.config.sections.task import DecodingConfig
from pipeline.quantization.scheme import Scheme, scheme_of
from pipeline.runtime.manifest_file import (
    DIGEST,
    FIRST_VERSION,
    Earlier,
    check_files,
    difference,
    read_bound,
    write_bound,
)
from pipeline.runtime.manifest_file import MANIFEST as MANIFEST

FORMAT = "dq-packed/5"
WEIGHTS, CONFIG = "model.safetensors", "config.json"
NEEDED = (WEIGHTS, CONFIG, "tokenizer_config.json")
EXPORT_AGAIN = "export the packed student again"


@dataclass(frozen=True, kw_only=True)
class PackageSettings:
    """What the manifest names as it is."""

    encoder_map: list[int]
    decoder_map: list[int]
    heads: dict[str, list[int]]  # attention module -> heads of the teacher's layer that are left; else all
    decoding: DecodingConfig
    source_prefix: str
    source_language: str | None
    target_language: str | None
    max_source_tokens: int


@dataclass(frozen=True, kw_only=True)
class PackageInfo(PackageSettings):
    """What a package says of itself beside its weights."""

    scheme: Scheme


@dataclass(frozen=True, kw_only=True)
class PackedEntry:
    """What the manifest says of a packed module.

    Args:
        stored_as: the module whose name its tensors have; tied modules share them.
        bits: of a code.
        shape: of the matrix.
        zero: zero points: `per block`, or one constant.
        divides: codes are divided by the scale, as published.
    """

    stored_as: str
    bits: float
    shape: list[int]
    zero: float | str
    divides: bool


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """A package's manifest, read."""

    info: PackageInfo
    packed: dict[str, dict[str, Any]]  # module -> fields of `PackedEntry`, as they stand there


SETTINGS = tuple(setting.name for setting in fields(PackageSettings))


def write_manifest(folder: Path, info: PackageInfo, packed: Mapping[str, PackedEntry]) -> None:
    """Write the manifest of a package whose other files are there."""
    modules = {name: asdict(entry) for name, entry in packed.items()}
    write_bound(folder, FORMAT, {**asdict(info), "scheme_name": info.scheme.name, "packed": modules})


def read_manifest(folder: Path) -> Manifest:
    """A package's manifest, and whether the folder's files are those that it names.

    Raises:
        UserError: not a package, another format, entries that are missing, of another kind or contradict each other, a
            missing, changed or additional file.
    """
    change = "name a folder that a sweep has written (.../packed)"
    path, manifest = folder / MANIFEST, read_bound(folder, "a packed model", change, FORMAT, EARLIER)
    known = {*SETTINGS, "format", "written_by", "scheme", "scheme_name", "packed", "sha256"}
    if lacking := sorted(known - set(manifest)):
        raise UserError(f"{path} lacks '{lacking[0]}'", "a whole manifest", EXPORT_AGAIN)
    if foreign := sorted(set(manifest) - known - {DIGEST}):
        raise UserError(f"{path} has an entry '{foreign[0]}'", "a manifest of this format", EXPORT_AGAIN)
    try:
        read = Manifest(info=_info(manifest), packed=_entries(manifest["packed"]))
    except UserError as error:
        raise UserError(f"{path}: {error}", "a whole manifest", EXPORT_AGAIN) from None
    check_files(folder, manifest["sha256"], NEEDED)
    return read


def _info(manifest: Mapping[str, Any]) -> PackageInfo:
    said = {name: manifest[name] for name in SETTINGS}
    settings = build(PackageSettings, said)
    if place := difference(said, to_dict(settings)):
        raise UserError(f"{place} is missing or of another kind", "as it was written", EXPORT_AGAIN)
    for name in ("encoder_map", "decoder_map"):
        if any(layer < 0 for layer in getattr(settings, name)):
            raise UserError(f"{name}={getattr(settings, name)}", "numbers of layers", EXPORT_AGAIN)
    if settings.max_source_tokens < 2:
        raise UserError(f"max_source_tokens={settings.max_source_tokens}", "at least 2", EXPORT_AGAIN)
    entries = {name: getattr(settings, name) for name in SETTINGS}
    return PackageInfo(scheme=_scheme(manifest["scheme_name"], manifest["scheme"]), **entries)


def _scheme(name: Any, said: Any) -> Scheme:
    match = SCHEME_PATTERN.fullmatch(name) if isinstance(name, str) else None
    weights, embeddings, activations = (float(bits) for bits in match.groups()) if match else (0.0, 0.0, 0.0)
    if not {weights, embeddings} <= set(WEIGHT_BITS) or activations not in ACTIVATION_BITS:
        raise UserError(f"scheme_name={str(name)[:80]}", "W-E-A such as 2-2-8", EXPORT_AGAIN)
    if not isinstance(said, dict) or not isinstance(said.get("quantization"), dict):
        raise UserError("scheme lacks its settings", "bits and the settings `quantization`", EXPORT_AGAIN)
    scheme = scheme_of(str(name), build(QuantizationConfig, said["quantization"]))
    if place := difference(said, asdict(scheme), "scheme"):
        raise UserError(
            f"{place} is missing, of another kind, or not that of {name}", "as it was written", EXPORT_AGAIN
        )
    return scheme


def _entries(said: Any) -> dict[str, dict[str, Any]]:
    if not isinstance(said, dict) or not all(isinstance(entry, dict) for entry in said.values()):
        raise UserError("packed is no list of modules", "module -> how its weight is packed", EXPORT_AGAIN)
    return said


def _from_3(manifest: dict[str, Any]) -> dict[str, Any]:
    """Format 4 spells a key of the scheme another way, and says who wrote it."""
    scheme = manifest.get("scheme")
    if isinstance(scheme, dict) and "quantisation" in scheme:
        scheme = {"quantization" if name == "quantisation" else name: value for name, value in scheme.items()}
    return {**manifest, "format": "dq-packed/4", "written_by": FIRST_VERSION, "scheme": scheme}


def _from_4(manifest: dict[str, Any]) -> dict[str, Any]:
    """Format 5 is bound by its own digest."""
    return {**manifest, "format": "dq-packed/5"}


EARLIER: Earlier = {"dq-packed/3": _from_3, "dq-packed/4": _from_4}
