"""An exported model from a folder, or from a `.zip` of one."""

from __future__ import annotations

import stat
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from pipeline.config.errors import UserError
from pipeline.runtime.manifest import MANIFEST

CHANGE = "name a folder that jobs/export.py has written, or the .zip of one"


@contextmanager
def opened(model: Path) -> Iterator[Path]:
    """The folder of an exported model; that of a `.zip` is temporary and goes when the block is left.

    Raises:
        UserError: neither, a damaged file, or one whose entries lie outside of it.
    """
    try:
        is_folder, is_there = model.is_dir(), model.exists()
    except OSError as error:  # a text in its place is longer than any name
        raise UserError(f"{model}: {error.strerror}", "an exported model", CHANGE) from error
    if is_folder:
        yield model
        return
    if not is_there:
        raise UserError(f"no folder {model}", "an exported model", CHANGE)
    with tempfile.TemporaryDirectory(prefix="exported-") as folder:
        unpack(model, Path(folder))
        yield _root(model, Path(folder))


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a `.zip` into an empty folder.

    Raises:
        UserError: no zip, a damaged one, or one with entries that would lie outside of the folder.
    """
    try:
        with zipfile.ZipFile(archive) as file:
            for entry in file.infolist():
                _check_entry(archive, entry)
            file.extractall(folder)  # compares checksums
    except UserError:
        raise
    except OSError as error:  # no room, or a file that may not be read
        raise UserError(
            f"{archive} cannot be unpacked: {error}", "a .zip, and room for what is in it", CHANGE
        ) from error
    except Exception as error:  # every way to compress has errors of its own, and so have names
        what = str(error) or type(error).__name__
        raise UserError(f"{archive} is not the .zip of an exported model: {what}", "a whole .zip", CHANGE) from error


def _check_entry(archive: Path, entry: zipfile.ZipInfo) -> None:
    path = PurePosixPath(entry.filename.replace("\\", "/"))
    outside = path.is_absolute() or ".." in path.parts or ":" in entry.filename
    if outside or stat.S_ISLNK(entry.external_attr >> 16):
        raise UserError(f"{archive} holds {entry.filename}, which lies elsewhere", "files inside of it", CHANGE)


def _root(archive: Path, folder: Path) -> Path:
    """The folder with the manifest: the archive's top, or the one folder in it."""
    inside = [folder, *sorted(path for path in folder.iterdir() if path.is_dir())]
    for path in inside:
        if (path / MANIFEST).is_file():
            return path
    raise UserError(f"{archive} holds no {MANIFEST}", "the .zip of an exported model", CHANGE)
