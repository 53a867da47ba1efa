"""Files and folders that are written whole or not at all: under a name beside their own, which they get at the end.

Whoever reads sees what was there before or what is there now, never a half, also after a power cut: what is written
reaches the disk before its name does. A process that is killed leaves at most a hidden file or folder behind. This is
the one place that renames and that waits for the disk. Nothing but Python is needed here.
"""

from __future__ import annotations

import errno
import itertools
import json
import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

LONGEST_NAME = 32  # characters of the target's name in the other one, which must not be too long for a file system
ASIDE = "damaged-"
KEPT_ASIDE = 3  # of one kind: what was damaged may be large
ON_POSIX = os.name == "posix"  # elsewhere only what is open for writing can be flushed, and no folder
_numbers = itertools.count()  # threads of one process write at the same time


@contextmanager
def atomic_file(target: Path) -> Iterator[Path]:
    """A path to write a file to that becomes `target` when the block ends well, and vanishes when it does not.

    Raises:
        OSError: no place to write.
    """
    partial = _beside(target)
    try:
        yield partial
        flush_file(partial)
        move(partial, target)
    finally:
        partial.unlink(missing_ok=True)


def atomic_text(target: Path, text: str) -> None:
    """Write a text in UTF-8, its line ends as they stand.

    Raises:
        OSError: no place to write.
    """
    with atomic_file(target) as partial:
        partial.write_text(text, encoding="utf-8", newline="\n")


def atomic_json(target: Path, value: Any) -> None:
    """Write JSON; the folder is made if need be.

    Raises:
        OSError: no place to write.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    atomic_text(target, json.dumps(value, indent=2, sort_keys=True))


@contextmanager
def atomic_folder(target: Path) -> Iterator[Path]:
    """A temporary folder that becomes `target` when the block ends well, and vanishes when it does not.

    A target that another job made meanwhile stays: folders that jobs share are named by what they hold.
    """
    existed = target.is_dir()
    partial, former = _beside(target), _beside(target)
    shutil.rmtree(partial, ignore_errors=True)  # of a killed process with the same number
    partial.mkdir(parents=True)
    try:
        yield partial
        flush_tree(partial)
        if existed:  # away at once: removing it file by file would leave half of it to a reader
            with suppress(FileNotFoundError):  # another job was faster
                move(target, former)
        try:
            move(partial, target)
        except OSError:
            if former.is_dir():
                move(former, target)
            if existed or not target.is_dir():
                raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        shutil.rmtree(former, ignore_errors=True)


def remove_folder(target: Path) -> None:
    """Remove a folder: it is away at once, so that nobody reads a half.

    Raises:
        OSError: it is not there, or cannot be moved.
    """
    former = _beside(target)
    move(target, former)
    shutil.rmtree(former, ignore_errors=True)


def move(source: Path, target: Path) -> None:
    """Give a file or a folder another name on the same file system, and wait until both folders know.

    Raises:
        OSError: it cannot be moved.
    """
    source.replace(target)
    for folder in {source.parent, target.parent}:
        flush_folder(folder)


def set_aside(path: Path, *, like: str | None = None) -> Path:
    """Take a damaged file or folder out of everybody's way, and keep it for people; of many the oldest go.

    Args:
        path: of it.
        like: how the names of its kind begin; none: with its own.

    Returns:
        its new path: `damaged-<name>` beside the old one, with a number where that is taken.

    Raises:
        OSError: it cannot be moved.
    """
    prefix = f"{ASIDE}{like or path.name}"
    earlier = [one for one in path.parent.iterdir() if one.name.startswith(prefix)]
    earlier.sort(key=lambda one: one.lstat().st_ctime_ns)
    for old in earlier[: len(earlier) - KEPT_ASIDE + 1]:
        shutil.rmtree(old, ignore_errors=True) if old.is_dir() else old.unlink(missing_ok=True)
    names = (f"{ASIDE}{path.name}{f'.{number}' if number else ''}" for number in itertools.count())
    target = next(target for target in map(path.with_name, names) if not target.exists())
    move(path, target)
    return target


def flush_file(path: Path) -> None:
    """Wait until a file lies on the disk.

    Raises:
        OSError: it is not there, or the disk cannot take it.
    """
    with path.open("rb") as file:
        if ON_POSIX:
            os.fsync(file.fileno())


def flush_folder(folder: Path) -> None:
    """Wait until the names in a folder lie on the disk, where the file system knows how.

    Raises:
        OSError: it is not there, or the disk cannot take it.
    """
    if not ON_POSIX:
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network file systems
            raise
    finally:
        os.close(descriptor)


def flush_folders(folder: Path) -> None:
    """`flush_folder` of a folder and all that lie in it, from the inside out."""
    for inner, _, _ in os.walk(folder, topdown=False):
        flush_folder(Path(inner))


def flush_tree(folder: Path) -> None:
    """`flush_file` of all files in a folder, then `flush_folders`."""
    for inner, _, names in os.walk(folder):
        for name in names:
            flush_file(Path(inner, name))
    flush_folders(folder)


def _beside(target: Path) -> Path:
    """A hidden path in the same folder that nobody else uses, on any machine."""
    return target.with_name(f".{target.name[:LONGEST_NAME]}.{socket.gethostname()}.{os.getpid()}.{next(_numbers)}")
