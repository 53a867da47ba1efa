"""A lease on a folder of the shared storage: one submission at a time trains a teacher or a sweep.

Leases are numbered files, `lease/1.json`, `lease/2.json`, ... Whoever creates the next number holds the lease; creating
is exclusive, so two that want it at once cannot both get it, and of an abandoned one exactly one is the heir. The file
with the highest number stays when its owner is done, marked as released, so that a process that looked long ago cannot
take a number that was given before. Nobody but its owner ever writes a file.

The owner touches its file every few seconds. Ages are differences between times that the storage gives to files, so
clocks of machines do not matter.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import socket
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path

import psutil

from pipeline.config.errors import UserError
from pipeline.storage.atomic import atomic_json

RENEW_SECONDS = 10.0
ABANDONED_SECONDS = 60.0  # without renewal, and the lease has ended
OVERDUE_SECONDS = 2 * RENEW_SECONDS  # its owner may be dead: whoever comes waits for the end of the lease, or a renewal
POLL_SECONDS = 3.0
KEPT_FILES = 10  # earlier leases that stay: a process may have looked at one and not acted yet

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Owner:
    """Who holds a lease, as its file says."""

    host: str = "another process"
    pid: int = 0
    since: str = "just now"
    machine: str = ""  # where process ids mean the same
    token: str = ""
    released: bool = False


class HeldElsewhereError(UserError):
    """Another process holds the lease: it does the work."""


@contextlib.contextmanager
def lease(folder: Path, what: str, *, wait: bool = False, on_lost: Callable[[], None] | None = None) -> Iterator[None]:
    """Hold the lease on a folder while the block runs.

    A process that was suspended for long, or whose storage was away, may find another one in its place. Two must not
    train in one folder, so it says so and stops: the main thread is interrupted and the block ends with the error
    below. (Its runs in MLflow are then shown as killed until the other one ends them. A process that ignores
    interrupts goes on to the end of the block.)

    Args:
        folder: what nobody else may work in; created if need be.
        what: how messages call it, e.g. "sweep 12ab".
        wait: until the other one is done, instead of refusing.
        on_lost: called by the renewing thread when the lease was lost; none: an interrupt.

    Raises:
        HeldElsewhereError: another process holds it, or took it over.
    """
    path, owner = _acquire(folder / "lease", what, wait)
    renewal = _Renewal(path, owner, what, on_lost or _interrupt)
    renewal.start()
    try:
        yield
    except KeyboardInterrupt:
        if renewal.heir is None:
            raise
    finally:
        renewal.ended.set()
        renewal.join()
        if renewal.heir is None:
            with contextlib.suppress(OSError):  # else it ends by itself
                atomic_json(path, asdict(replace(owner, released=True)))
    if renewal.heir is not None:
        raise HeldElsewhereError(
            f"{what} was taken over by {_name(renewal.heir)}: this process had not renewed its lease for"
            f" {ABANDONED_SECONDS:.0f} s",
            "one submission at a time",
            "wait for the other one",
        )


def _acquire(folder: Path, what: str, wait: bool) -> tuple[Path, Owner]:
    folder.mkdir(parents=True, exist_ok=True)
    owner, announced = _this_process(), False
    while True:
        number = _newest(folder)
        held, age = (None, 0.0) if number == 0 else _holder(folder / f"{number}.json")
        if held is None:
            path = folder / f"{number + 1}.json"
            if _created(path, owner) and _newest(folder) == number + 1:
                for old in range(max(1, number - 2 * KEPT_FILES), number - KEPT_FILES):
                    (folder / f"{old}.json").unlink(missing_ok=True)
                return path, owner
        elif not wait and age < OVERDUE_SECONDS:
            raise HeldElsewhereError(
                f"{what} is being trained by {_name(held)} since {held.since}",
                "one submission at a time",
                f"wait for it; if that process is dead, its lease ends by itself in at most {ABANDONED_SECONDS:.0f} s",
            )
        else:
            if not announced:
                if wait:
                    log.info(f"waiting for {_name(held)} to finish {what}")
                else:
                    log.warning(
                        f"{_name(held)} may be dead: its lease on {what} is overdue; waiting for its end or renewal"
                    )
            announced = True
            time.sleep(POLL_SECONDS)


def _newest(folder: Path) -> int:
    """The highest number that was given; 0 if none was."""
    return max((int(path.stem) for path in folder.glob("*.json") if path.stem.isdecimal()), default=0)


def _holder(path: Path) -> tuple[Owner | None, float]:
    """Who holds the lease of a file, nobody if it was released or abandoned; seconds since it was renewed."""
    try:
        owner, touched = _read(path)
    except FileNotFoundError:  # much newer ones exist: creating the next number will fail
        return None, 0.0
    if owner.released or (owner.machine == _machine() and not is_alive(owner.pid)):
        return None, 0.0
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".probe-") as probe:
        os.utime(probe.name)
        now = Path(probe.name).stat().st_mtime
    age = now - touched
    return (None if age > ABANDONED_SECONDS else owner), age


def _read(path: Path) -> tuple[Owner, float]:
    """The owner and the time of the last renewal, both as they are now: opening renews what NFS remembers."""
    with path.open() as file:
        text, touched = file.read(), os.fstat(file.fileno()).st_mtime
    try:
        return Owner(**json.loads(text)), touched
    except (ValueError, TypeError):  # it is being written
        return Owner(), touched


def _created(path: Path, owner: Owner) -> bool:
    """Whether this process created the file; one that exists is somebody else's."""
    try:
        with path.open("x") as file:
            file.write(json.dumps(asdict(owner)))
    except FileExistsError:
        return False
    return True


def _this_process() -> Owner:
    return Owner(
        host=socket.gethostname(),
        pid=os.getpid(),
        since=datetime.now().astimezone().isoformat(sep=" ", timespec="seconds"),
        machine=_machine(),
        token=uuid.uuid4().hex,
    )


def _machine() -> str:
    """Where process ids mean the same: containers may share a name and even a kernel; unique where that is unknown."""
    try:
        kernel = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{socket.gethostname()} {kernel} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return uuid.uuid4().hex


def is_alive(pid: int) -> bool:
    """Whether a process of this machine has not ended."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True


def _name(owner: Owner) -> str:
    return f"{owner.host}:{owner.pid}" if owner.pid else owner.host


def _interrupt() -> None:
    """As a person would; a real signal, because it also ends waiting."""
    main = threading.main_thread().ident
    assert main is not None
    signal.pthread_kill(main, signal.SIGINT)


class _Renewal(threading.Thread):
    """Touches a lease until it ends; `heir` is who took it over."""

    def __init__(self, path: Path, owner: Owner, what: str, on_lost: Callable[[], None]) -> None:
        super().__init__(daemon=True)
        self.path, self.owner, self.what, self.on_lost = path, owner, what, on_lost
        self.ended = threading.Event()
        self.heir: Owner | None = None

    def run(self) -> None:
        """Every few seconds until the end of the lease."""
        while not self.ended.wait(RENEW_SECONDS):
            try:
                heir = self._heir()
                if heir is None:
                    os.utime(self.path)
                    continue
            except OSError:  # the storage is away; the next renewal shows whether that was for too long
                continue
            log.error(
                f"LOST: {self.what} was taken over by {_name(heir)}; this process had not renewed its lease and stops"
            )
            self.heir = heir
            self.on_lost()
            return

    def _heir(self) -> Owner | None:
        folder = self.path.parent
        newest = folder / f"{_newest(folder)}.json"
        owner = _read(newest)[0] if newest.is_file() else Owner(host="somebody who deleted the lease")
        return None if owner.token == self.owner.token else owner
