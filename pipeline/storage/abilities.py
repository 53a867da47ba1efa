"""What a file system must be able to do to be a storage folder, asked at the start of a job.

Leases, checkpoints and ledgers need that one of several who create a file at once gets it, that a file or folder gets
its name in one step, and that files grow and shrink in place. Mounts of object stores have no such operations, or
imitate them on one machine alone, where no other machine knows of it: what can be tried here is tried, and mounts that
are known to be of that kind are refused by their name.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from pipeline.config.errors import UserError
from pipeline.storage.atomic import move
from pipeline.storage.leftovers import hidden_prefix

# As /proc/mounts calls them: `fuse.<program>`, or `fuse` and the program in place of the device.
OBJECT_STORES = {"s3fs", "mount-s3", "mountpoint-s3", "goofys", "geesefs", "gcsfuse", "blobfuse", "blobfuse2", "rclone"}
OBJECT_STORES |= {"ossfs", "ossfs2"}
MOUNTS = Path("/proc/mounts")
OCTAL = re.compile(r"\\([0-7]{3})")  # blanks and backslashes
UNABLE = {errno.ENOTSUP, errno.ENOSYS, errno.EPERM, errno.EINVAL, errno.EXDEV}  # no such operation there


def check_abilities(root: Path) -> None:
    """Refuse a storage folder whose file system cannot hold one.

    Args:
        root: the folder, which is there.

    Raises:
        UserError: what it cannot do.
        OSError: nothing can be written there.
    """
    kind = mounted_kind(root) or ""
    program, _, device = kind.lower().partition(" ")
    if OBJECT_STORES & ({program.removeprefix("fuse.")} | ({device} if program == "fuse" else set())):
        raise _refused(root, f"a mount of an object store ({kind}): other machines do not see leases in time")
    with tempfile.TemporaryDirectory(dir=root, prefix=hidden_prefix("abilities")) as folder:
        for ability, check in _checks(Path(folder)):
            try:
                able = check()
            except OSError as error:
                if error.errno not in UNABLE:
                    raise
                able, ability = False, f"{ability} ({error.strerror})"
            if not able:
                raise _refused(root, f"its file system cannot {ability}")


def mounted_kind(root: Path, mounts: Path = MOUNTS) -> str | None:
    """The kind of file system of a folder, and what is mounted; none where that is not told.

    Args:
        root: the folder.
        mounts: the system's list: a line of what, where and kind for each mount.
    """
    try:
        lines = [line.split() for line in mounts.read_text(errors="replace").splitlines()]
    except OSError:
        return None
    folder = root.resolve()
    found = [(OCTAL.sub(lambda digits: chr(int(digits[1], 8)), words[1]), words) for words in lines if len(words) >= 3]
    holding = [(where, words) for where, words in found if folder.is_relative_to(where)]
    if not holding:
        return None
    _, words = max(reversed(holding), key=lambda pair: len(pair[0]))  # of several on one place the last counts
    return f"{words[2]} {words[0]}"


def _checks(folder: Path) -> Iterator[tuple[str, Callable[[], bool]]]:
    """Abilities, and whether they are there."""
    yield "let one of several create a file", lambda: _creates_once(folder / "once")
    yield "let a file take the place of another", lambda: _replaces(folder / "new", folder / "old")
    yield "give a folder with files another name", lambda: _moves_folder(folder / "folder", folder / "moved")
    yield "let a file grow and shrink", lambda: _grows_and_shrinks(folder / "file")
    yield "tell when a file was touched", lambda: _is_touched(folder / "touched")


def _creates_once(path: Path) -> bool:
    path.write_text("")
    try:
        path.open("x").close()
    except FileExistsError:
        return True
    return False


def _replaces(new: Path, old: Path) -> bool:
    old.write_text("old")
    new.write_text("new")
    move(new, old)
    return old.read_text() == "new" and not new.exists()


def _moves_folder(folder: Path, target: Path) -> bool:
    folder.mkdir()
    (folder / "file").write_text("x")
    move(folder, target)
    moved = (target / "file").read_text() == "x" and not folder.exists()
    shutil.rmtree(target)
    return moved and not target.exists()


def _grows_and_shrinks(path: Path) -> bool:
    for _ in range(2):
        with path.open("a") as file:
            file.write("12")
    grown = path.read_text() == "1212"
    os.truncate(path, 1)
    return grown and path.read_text() == "1"


def _is_touched(path: Path) -> bool:
    path.write_text("")
    os.utime(path, (1.0e9, 1.0e9))
    return path.stat().st_mtime == 1.0e9


def _refused(root: Path, reason: str) -> UserError:
    return UserError(
        f"storage.path={root}: {reason}",
        "a file system mounted for reading and writing (a disk, NFS, CephFS, Lustre); artifacts of runs may lie in an "
        "object store, behind MLflow's server",
        "set storage.path to a folder on one",
    )
