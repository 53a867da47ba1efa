"""A power cut as the disk sees it: what nobody waited for may be lost.

Every file of a folder whose last change was not followed by `fsync` is cut, a new name whose folder was not flushed is
taken back. Files of libraries that flush by themselves, unseen by Python (SQLite's), stay as they are.
"""

import os
import random
import tempfile
from pathlib import Path

OF_SQLITE = (".db", ".db-wal", ".db-shm", ".db-journal")
REBOOT_SECONDS = 120  # since the cut, for whoever looks next
_flushed = {}  # (device, inode) -> time of the last change that is on disk
_moves = []  # (source, target, whether there was one before), in folders that were not flushed since
_start_ns = 0


def record():
    """Remember from here on what is flushed and what is renamed in this process."""
    global _start_ns
    _start_ns = _now_ns()
    fsync, replace, rename = os.fsync, os.replace, os.rename

    def flushed(descriptor):
        fsync(descriptor)
        number = descriptor if isinstance(descriptor, int) else descriptor.fileno()
        found = os.fstat(number)
        _flushed[found.st_dev, found.st_ino] = found.st_mtime_ns
        folder = Path(f"/proc/self/fd/{number}").readlink()
        _moves[:] = [move for move in _moves if folder not in (move[0].parent, move[1].parent)]

    def moved(real):
        def move(source, target, **options):
            existed = os.path.lexists(target)
            real(source, target, **options)
            _moves.append((Path(source).absolute(), Path(target).absolute(), existed))

        return move

    os.fsync, os.replace, os.rename = flushed, moved(replace), moved(rename)


def cut(root, seed):
    """Leave in a folder what a disk may have after the power went."""
    draw = random.Random(seed)
    for source, target, existed in reversed(_moves):
        if not existed and os.path.lexists(target) and not os.path.lexists(source) and draw.random() < 0.5:
            target.rename(source)
    for path in sorted(Path(root).rglob("*")):
        if not path.is_file() or path.is_symlink() or path.name.endswith(OF_SQLITE):
            continue
        found = path.stat()
        is_old = found.st_mtime_ns < _start_ns
        if is_old or _flushed.get((found.st_dev, found.st_ino)) == found.st_mtime_ns:
            continue
        os.truncate(path, int(found.st_size * draw.choice([0, 0.5, 1])))
        before_ns = found.st_mtime_ns - REBOOT_SECONDS * 10**9
        os.utime(path, ns=(before_ns, before_ns))


def _now_ns():
    """The clock that gives files their times, which may lag behind that of programs."""
    with tempfile.NamedTemporaryFile() as probe:
        return Path(probe.name).stat().st_mtime_ns
