"""The layout of the storage folder, and whether it can be written to."""

from __future__ import annotations

import functools
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from pipeline.config.errors import UserError
from pipeline.storage.abilities import check_abilities

MIN_FREE_BYTES = 1 << 30


@dataclass(frozen=True, kw_only=True)
class Storage:
    """Paths below `storage.path`; everything a job leaves behind lies here."""

    root: Path

    @property
    def cache(self) -> Path:
        """Corpora, tokenizers and token ids; may be deleted at any time."""
        return self.root / "cache"

    def cache_bytes(self) -> int:
        """What the cache takes on disk."""
        size = 0
        for path in self.cache.rglob("*"):
            with suppress(OSError):  # another job may be done with it
                size += path.lstat().st_size if path.is_file() else 0
        return size

    def teacher(self, key: str) -> Path:
        """The folder of one fine-tuned teacher."""
        return self.root / "teachers" / key

    def pretraining(self, key: str) -> Path:
        """The folder of one pre-training: of what was learned with a teacher and of what was learned without."""
        return self.root / "pretrained" / key

    def sweep(self, key: str) -> Path:
        """The folder of one sweep."""
        return self.root / "sweeps" / key

    def trials(self, key: str) -> Path:
        """The folder of what searches have seen of candidates that were trained alike."""
        return self.root / "searches" / "trials" / key

    def search(self, name: str) -> Path:
        """The folder of one finished search."""
        return self.root / "searches" / "finished" / name

    def agora(self, key: str) -> Path:
        """The folder of candidates, answers and rounds of Agora that share teacher, recipe and data."""
        return self.root / "agora" / key


def check_path(path: str) -> None:
    """Refuse a storage folder that cannot be, without making it.

    Raises:
        UserError: a relative path in a submitted job (its working directory vanishes), or no right to write.
    """
    if not personal_path(path).is_absolute() and in_submitted_job():
        raise UserError(
            f"storage.path={path} in a job submitted to Ray",
            "an absolute path: the job's working directory is a copy that vanishes",
            "set storage.path=/absolute/path or the environment variable DQ_STORAGE",
        )
    root = personal_path(path).absolute()
    with seen_as_path(f"storage.path={root}"):
        there = next(folder for folder in (root, *root.parents) if folder.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        reason = "no right to write" if there.is_dir() else f"{there} is a file"
        raise UserError(f"storage.path={root}: {reason}", "a folder to write in", "set storage.path")


def open_storage(path: str) -> Storage:
    """The storage folder, created if need be.

    Raises:
        UserError: as `check_path` says, it cannot be written after all, or its file system cannot hold one.
    """
    check_path(path)
    root = personal_path(path).absolute()
    try:
        root.mkdir(parents=True, exist_ok=True)
        _check_abilities_once(root)
    except OSError as error:
        raise UserError(f"storage.path={root}: {error.strerror}", "a folder to write in", "set storage.path") from None
    return Storage(root=root)


@functools.cache
def _check_abilities_once(root: Path) -> None:
    """A process opens its storage often."""
    check_abilities(root)


def personal_path(given: str) -> Path:
    """A path that a person wrote, `~` as a shell reads it.

    Raises:
        UserError: the home of nobody.
    """
    try:
        return Path(given).expanduser()
    except RuntimeError:
        raise UserError(f"{given}: there is no such home folder", "~/..., or another path", "check the path") from None


@contextmanager
def seen_as_path(given: str) -> Iterator[None]:
    """Where a path that a person wrote is looked at: one that is too long, or lies where nobody may look, is refused.

    Args:
        given: what messages call it, e.g. `data.root=/data`.

    Raises:
        UserError: as said.
    """
    try:
        yield
    except OSError as error:
        raise UserError(f"{given}: {error.strerror}", "a path that can be looked at", "check the path") from None


def in_submitted_job() -> bool:
    """Whether this process is the entry point of a job submitted to Ray."""
    return "RAY_JOB_CONFIG_JSON_ENV_VAR" in os.environ


def check_free(root: Path, required_bytes: float) -> None:
    """Refuse to start what cannot be stored.

    Raises:
        UserError: less is free.
    """
    free = shutil.disk_usage(root).free
    if free < required_bytes:
        raise UserError(
            f"{free / 2**20:.0f} MiB free at {root}", f"at least {required_bytes / 2**20:.0f} MiB", "free disk space"
        )
