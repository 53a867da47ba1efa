"""How a request to stop reaches workers on other nodes: two small files in the storage that all nodes share.

The driver empties one; rank 0 looks at it between optimiser steps, and the group leaves together. In the other rank 0
says whether something is trained: a group that waits for its place or evaluates has nothing to save, and nobody waits
for it. Both files are there before the workers are, and only their contents change: NFS forgets what it knows of
a file's content when it is opened, but may not see a new file for half a minute. Emptying one takes no room on a disk
that is full. Their names belong to one call, so no request outlives it.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from pipeline.storage.leftovers import hidden_prefix
from pipeline.training.stop_request import Stopped

LOOK_SECONDS = 1.0  # between two looks at the shared storage: a step may take a few milliseconds


@dataclass(frozen=True, kw_only=True)
class StopFiles:
    """The files of one group of workers.

    Args:
        going_on: empty once the group is asked to stop.
        training: not empty while the group trains, and until it has left if it was asked to stop.
    """

    going_on: Path
    training: Path

    def ask(self) -> None:
        """Ask the group to stop."""
        os.truncate(self.going_on, 0)

    def is_asked(self) -> bool:
        """Whether it was asked to; where the storage is away, nobody knows of it."""
        return _size_of(self.going_on) == 0

    def is_training(self) -> bool:
        """Whether the group is where it can save what it has trained."""
        return bool(_size_of(self.training))


class _Follower:
    """What the process of a worker knows of its group's files."""

    def __init__(self, files: StopFiles) -> None:
        self.files = files
        self.is_asked, self.looked_at = False, float("-inf")
        self.has_told = False

    def look(self) -> bool:
        now = time.monotonic()
        if now - self.looked_at >= LOOK_SECONDS:
            self.is_asked, self.looked_at = self.files.is_asked(), now
        return self.is_asked

    def tell_training(self) -> None:
        self.files.training.write_text("training\n")
        self.has_told = True

    def tell_end(self) -> None:
        if self.has_told:
            with suppress(FileNotFoundError):  # the driver has left
                os.truncate(self.files.training, 0)
        self.has_told = False


_followers: list[_Follower] = []


@contextmanager
def stop_files(folder: Path) -> Iterator[StopFiles]:
    """The files of a group of workers, on the driver; they are gone when the block ends.

    Args:
        folder: of the shared storage.
    """
    folder.mkdir(parents=True, exist_ok=True)
    token = uuid.uuid4().hex
    going_on, training = (folder / f"{hidden_prefix(name)}{token}" for name in ("going_on", "training"))
    files = StopFiles(going_on=going_on, training=training)
    try:
        going_on.write_text("go on\n")
        training.write_text("")
        yield files
    finally:
        for path in (going_on, training):
            with suppress(OSError):  # else a later job removes it
                path.unlink(missing_ok=True)


@contextmanager
def followed(files: StopFiles) -> Iterator[None]:
    """Follow the files of a group in a worker of it while the block runs."""
    follower = _Follower(files)
    _followers.append(follower)
    try:
        yield
    finally:
        _followers.pop()
        follower.tell_end()


def asked_by_driver() -> bool:
    """Whether this worker's group was asked to stop; not without Ray, where the signal itself arrives."""
    return any(follower.look() for follower in _followers)


@contextmanager
def in_training(*, tells: bool) -> Iterator[None]:
    """A block in which this worker's group looks whether it was asked to stop.

    Where it was, the driver waits on until `followed` ends: runs are to be ended, too.

    Args:
        tells: whether this rank tells the driver so.
    """
    followers, is_stopped = list(_followers) if tells else [], False
    for follower in followers:
        follower.tell_training()
    try:
        yield
    except Stopped:
        is_stopped = True
        raise
    finally:
        if not is_stopped:
            for follower in followers:
                follower.tell_end()


def _size_of(path: Path) -> int | None:
    """The length of a file as it is now, in bytes: opening renews what NFS remembers; none if it cannot be read."""
    try:
        with path.open() as file:
            return os.fstat(file.fileno()).st_size
    except OSError:
        return None
