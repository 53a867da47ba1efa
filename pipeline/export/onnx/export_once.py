"""Stage: a package as graphs in a folder, written once, whole or not at all."""

from __future__ import annotations

from pathlib import Path

from pipeline.config.errors import UserError
from pipeline.export.onnx.export import export_package
from pipeline.export.package import MANIFEST
from pipeline.runtime.manifest import ExportInfo, read_manifest
from pipeline.storage.atomic import atomic_folder
from pipeline.storage.digests import sha256_of


def exported_once(package: Path, folder: Path, variant: str) -> tuple[ExportInfo, bool]:
    """Export a package into a folder, or find it there.

    Args:
        package: the package.
        folder: where the graphs are to lie.
        variant: exact, fast or openvino.

    Returns:
        what was exported, and whether it was there already.

    Raises:
        UserError: no package, one that cannot be exported, or a folder that holds something else.
    """
    manifest = package / MANIFEST
    try:
        if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
            return _found(folder, sha256_of(manifest) if manifest.is_file() else "", variant), True
        return exported_anew(package, folder, variant), False
    except OSError as error:
        raise UserError(f"{folder}: {error.strerror or error}", "a folder to write in", "set output=...") from error


def exported_anew(package: Path, folder: Path, variant: str) -> ExportInfo:
    """Export a package into a folder of our own, whatever lay there.

    Raises:
        UserError: no package, or one that cannot be exported.
        OSError: no place to write.
    """
    with atomic_folder(folder) as partial:
        return export_package(package, partial, variant)


def _found(folder: Path, source: str, variant: str) -> ExportInfo:
    change = "set output to another folder, or remove this one"
    try:
        info = read_manifest(folder)
    except UserError as error:
        raise UserError(f"{folder} exists, and is no finished export ({error.given})", "a new folder", change) from None
    if (info.source, info.variant) != (source, variant):
        what = f"variant {info.variant}" if info.source == source else f"another student ({info.scheme_name})"
        raise UserError(f"{folder} holds {what}", "a new folder, or the same export", change)
    return info
