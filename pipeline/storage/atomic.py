"""Files and folders that are written whole or not at all: under a name beside their own, which they get at the end.

Whoever reads sees what was there before or what is there now, never a half; a process that is killed leaves at most a
hidden file or folder behind. Nothing but Python is needed here.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

LONGEST_NAME = 32  # characters of the target's name in the other one, which must not be too long for a file system
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
        partial.replace(target)
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
    partial = _beside(target)
    shutil.rmtree(partial, ignore_errors=True)  # of a killed process with the same number
    partial.mkdir(parents=True)
    try:
        yield partial
        if existed:
            shutil.rmtree(target, ignore_errors=True)
        try:
            partial.replace(target)
        except OSError:
            if existed or not target.is_dir():
                raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _beside(target: Path) -> Path:
    """A hidden path in the same folder that nobody else uses, on any machine."""
    return target.with_name(f".{target.name[:LONGEST_NAME]}.{socket.gethostname()}.{os.getpid()}.{next(_numbers)}")
