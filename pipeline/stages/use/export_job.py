"""The job `export`: a student as graphs with its real bits, every part of them in a table."""

from __future__ import annotations

import logging
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

from pipeline.config.errors import UserError
from pipeline.config.jobs.export import ExportJob
from pipeline.console.tables import text_table
from pipeline.export.onnx.compress import write_zip
from pipeline.export.onnx.export_once import exported_once
from pipeline.export.package import file_bytes
from pipeline.report.results import MIB
from pipeline.runtime.manifest import MANIFEST, ExportInfo, model_bytes
from pipeline.serving.logged_models import model_name
from pipeline.stages.use.find_student import FoundModel, find_model
from pipeline.storage.atomic import atomic_json
from pipeline.storage.layout import open_storage, personal_path

FORMATS = {"onnx": exported_once}  # format -> what writes it

log = logging.getLogger(__name__)


def run(config: ExportJob) -> dict[str, Any]:
    """Export the student that `export.model` means, print what its bytes are, and write all its parts beside it.

    Returns:
        the document printed by the job.

    Raises:
        UserError: no such student, one that cannot be exported, or a place where something else lies.
    """
    settings, model = config.export, find_model(config, config.export.model)
    if model.package is None:
        raise UserError(f"{settings.model} is exported already", "a package, or a run", "name the student itself")
    folder = _folder(config, model)
    if settings.compress == "zip":
        _check_zip(_zip_of(folder))
    info, was_there = FORMATS[settings.format](model.package, folder, settings.variant)
    size_bytes, package_bytes = model_bytes(folder), file_bytes(model.package)
    parts, parts_file = largest_first(info), folder.with_name(f"{folder.name}.parts.json")
    _write_parts(parts_file, parts)
    log.info(f"\n{text_table(part_lines(parts, size_bytes))}\n")
    log.info(f"every part by its name: {parts_file}")
    log.info(f"{folder}: {'found, as it was exported before' if was_there else 'written'}")
    log.info(
        f"{size_bytes / MIB:.3f} MiB, {size_bytes / package_bytes:.3f} times the bytes of its package; {_parity(info)}"
    )
    document = {
        "status": "finished",
        "folder": str(folder),
        "variant": info.variant,
        "scheme": info.scheme_name,
        "size_bytes": size_bytes,
        "package_ratio": package_bytes / size_bytes,
        "num_parts": len(parts),
        "parts_file": str(parts_file),
        "parity": asdict(info.parity),
    }
    return document | (_compressed(folder, size_bytes, package_bytes) if settings.compress == "zip" else {})


def _folder(config: ExportJob, model: FoundModel) -> Path:
    if config.export.output is not None:
        return personal_path(config.export.output).absolute()
    root = open_storage(config.storage.path).root
    return root / "exports" / f"{model_name(model.name)}-{config.export.variant}"


def _zip_of(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.zip")


def _check_zip(path: Path) -> None:
    """Check that a zip replaces nothing but an earlier one, before the work that ends in it."""
    try:
        if not path.exists():
            return
        with ZipFile(path) as archive:
            if MANIFEST in archive.namelist():
                return
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}", "a file to write", "set output=...") from error
    except BadZipFile:
        pass
    raise UserError(f"{path} is no zip of an export", "a new file, or an earlier zip", "set output=..., or remove it")


def _compressed(folder: Path, size_bytes: int, package_bytes: int) -> dict[str, Any]:
    path = _zip_of(folder)
    try:
        zip_bytes = write_zip(folder, path)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}", "a file to write", "set output=...") from error
    log.info(
        f"{path}: {zip_bytes} bytes with tokenizer and golden inputs, {zip_bytes / size_bytes:.3f} times those of the "
        f"model's files, {zip_bytes / package_bytes:.3f} times those of its package"
    )
    return {
        "zip": str(path),
        "zip_bytes": zip_bytes,
        "zip_ratio": size_bytes / zip_bytes,
        "zip_package_ratio": package_bytes / zip_bytes,
    }


def _write_parts(path: Path, parts: dict[str, dict[str, Any]]) -> None:
    """The parts beside the folder: inside, every file is the model's, and a model of many layers has hundreds."""
    try:
        atomic_json(path, parts)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}", "a file to write", "set output=...") from error


def largest_first(info: ExportInfo) -> dict[str, dict[str, Any]]:
    """Every part of an exported model, the largest first; bits are those of codes, none of anything else."""
    parts = {name: {"bits": None, **part} for name, part in info.parts.items() if part["bytes"]}
    return dict(sorted(parts.items(), key=lambda entry: -entry[1]["bytes"]))


def part_lines(parts: dict[str, dict[str, Any]], size_bytes: int) -> list[list[str]]:
    """The parts as a table, the largest first, and their sum; those of the same kind in all layers are one line."""
    groups: dict[tuple[str, str, str], list[int]] = {}
    for name, part in parts.items():
        bits = "-" if part["bits"] is None else f"{part['bits']:g}"
        kind = re.sub(r"\.\d+\..*\.", ".*.", name)
        groups.setdefault((kind, bits, str(part["stored_as"])), []).append(part["bytes"])
    lines = [["part", "bits", "stored as", "number", "bytes", "share"]]
    for (kind, bits, stored_as), sizes in sorted(groups.items(), key=lambda group: -sum(group[1])):
        share = f"{100 * sum(sizes) / size_bytes:.2f} %"
        lines.append([kind, bits, stored_as, str(len(sizes)), str(sum(sizes)), share])
    return [*lines, ["all", "", "", str(len(parts)), str(sum(part["bytes"] for part in parts.values())), "100.00 %"]]


def _parity(info: ExportInfo) -> str:
    parity = info.parity
    return (
        f"logits differ from torch by {parity.logits_error:.2e} (fp64 from fp32: {parity.floor:.2e}), "
        f"{100 * parity.same_choices:.1f} % of the choices are the same"
    )
