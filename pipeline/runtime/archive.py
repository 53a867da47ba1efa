"""An exported model from a folder, or from a `.zip` of one."""

from __future__ import annotations

import shutil
import stat
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from pipeline.config.errors import UserError
from pipeline.runtime.manifest_file import MANIFEST

CHANGE = "name a folder that jobs/export.py has written, or the .zip of one"
MAX_ENTRIES = 1_000  # an exported model has ten files
MAX_BYTES = 64 << 30  # unpacked
MAX_RATIO, SMALL_BYTES = 100, 64 << 20  # unpacked over packed bytes; what unpacks to less may be packed more tightly
BLOCK_BYTES = 1 << 20


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
        UserError: no zip, a damaged one, one with entries that would lie outside of the folder, or one that unpacks to
            more than a model takes.
    """
    try:
        with zipfile.ZipFile(archive) as file:
            entries = file.infolist()
            _check_sizes(archive, entries)
            for entry in entries:
                _check_entry(archive, entry)
            for entry in entries:
                _unpack_entry(file, entry, folder)
    except UserError:
        raise
    except OSError as error:  # no room, or a file that may not be read
        raise UserError(
            f"{archive} cannot be unpacked: {error}", "a .zip, and room for what is in it", CHANGE
        ) from error
    except Exception as error:  # every way to compress has errors of its own, and so have names
        what = str(error) or type(error).__name__
        raise UserError(f"{archive} is not the .zip of an exported model: {what}", "a whole .zip", CHANGE) from error


def _check_sizes(archive: Path, entries: list[zipfile.ZipInfo]) -> None:
    """Refuse what unpacks to more than a model takes, as far as the archive says so itself."""
    if len(entries) > MAX_ENTRIES:
        raise _too_large(archive, f"{len(entries):,} files", f"at most {MAX_ENTRIES:,}")
    if len({entry.filename for entry in entries}) < len(entries):
        raise UserError(f"{archive} holds two files of one name", "each file once", CHANGE)
    unpacked, packed = sum(entry.file_size for entry in entries), archive.stat().st_size
    allowed = min(MAX_BYTES, max(SMALL_BYTES, MAX_RATIO * packed))
    if unpacked > allowed:
        what = f"{unpacked:,} bytes in a file of {packed:,}"
        raise _too_large(archive, what, f"at most {MAX_BYTES:,} bytes, and {MAX_RATIO} times those of the file")


def _too_large(archive: Path, what: str, allowed: str) -> UserError:
    return UserError(f"{archive} holds {what}, which is no exported model", allowed, CHANGE)


def _unpack_entry(file: zipfile.ZipFile, entry: zipfile.ZipInfo, folder: Path) -> None:
    """Unpack one file; the library reads no more of it than its directory says, and compares its checksum."""
    target = folder / entry.filename.replace("\\", "/")
    if entry.is_dir():
        target.mkdir(parents=True, exist_ok=True)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with file.open(entry) as packed, target.open("xb") as unpacked:
        shutil.copyfileobj(packed, unpacked, BLOCK_BYTES)


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
