"""What killed processes leave in the storage folder: hidden files and folders that were never given their names."""

from __future__ import annotations

import logging
import os
import re
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from pipeline.storage.lease import is_alive

UNTOUCHED_SECONDS = 24 * 3600.0  # a process that is still writing writes more often
MOST_LEVELS = 7  # of folders; below lie libraries' own
OF_OTHERS = ("ray", "mlartifacts", "mlruns")  # libraries keep their folders themselves
log = logging.getLogger(__name__)


def hidden_prefix(name: str) -> str:
    """How the name of a file or folder begins that is found here if this process is killed, as of `storage.atomic`."""
    return f".{name}.{socket.gethostname()}.{os.getpid()}."


def remove_leftovers(root: Path) -> None:
    """Remove what processes of this machine that have ended left, if nothing in it was touched for a day.

    Whether a process on another machine has ended, nobody here can know: what it leaves stays until a job runs there.

    Args:
        root: the storage folder. Ages are differences between times that it gives to files, whatever clocks say.
    """
    left_here = re.compile(rf"\..+\.{re.escape(socket.gethostname())}\.(\d{{1,9}})(?:\.\w+)?")
    with tempfile.NamedTemporaryFile(dir=root, prefix=hidden_prefix("probe")) as probe:
        now = Path(probe.name).stat().st_mtime
    for path in _hidden(root):
        found = left_here.fullmatch(path.name)
        if found is None or is_alive(int(found[1])):
            continue
        with suppress(OSError):  # another job removes it, too
            if now - _last_touched(path) > UNTOUCHED_SECONDS:
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
                log.info(f"removed {path}: process {found[1]}, which was writing it, has ended")


def _hidden(root: Path) -> Iterator[Path]:
    """Hidden files and folders, not those inside others."""
    for folder, names, files in os.walk(root):
        inside = Path(folder)
        yield from (inside / name for name in [*names, *files] if name.startswith("."))
        is_deep = len(inside.relative_to(root).parts) >= MOST_LEVELS
        others = OF_OTHERS if inside == root else ()
        names[:] = [] if is_deep else [name for name in names if not name.startswith(".") and name not in others]


def _last_touched(path: Path) -> float:
    """The latest time of a file or folder and all that is in it."""
    folders = () if path.is_symlink() else os.walk(path)
    inside = (Path(folder, name) for folder, names, files in folders for name in [*names, *files])
    return max(one.lstat().st_mtime for one in (path, *inside))
