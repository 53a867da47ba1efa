"""The files that a night reads: whether they stood still meanwhile, and whether they are still what was read.

A night works on its own copy of the examples. So only what is written while it reads can mix two states of a file; what
is written later changes nothing of the night, and is the next night's data.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.config.errors import UserError
from pipeline.config.jobs.retrain import RetrainJob
from pipeline.data.split_paths import is_saved, split_paths
from pipeline.stages.retrain.outcome import Outcome
from pipeline.storage.digests import sha256_of
from pipeline.storage.layout import seen_as_path

log = logging.getLogger(__name__)

SOURCES, CHANGED = "sources", "changed_since"  # in the details of a line


@dataclass(frozen=True, kw_only=True)
class Mark:
    """What tells two states of a file apart. Times and numbers alone are no proof: some writers keep them."""

    num_bytes: int
    modified_ns: int
    inode: int
    sha256: str


Marks = Mapping[str, Mark | None]  # path of a file -> its mark; none: it cannot be read


class Sources:
    """Files of a night's data, marked when this is made: before anybody reads them.

    Of the embedded docstrings there are none, and a data set of a hub has revisions.

    Args:
        config: the job.
    """

    def __init__(self, config: RetrainJob) -> None:
        try:
            self.paths = source_paths(config)
        except UserError:  # whoever reads them says it better
            self.paths = []
        self.before = marks_of(self.paths)

    @property
    def digests(self) -> dict[str, str]:
        """SHA-256 of every file."""
        return digests_of(self.before)

    def changed_while_read(self) -> list[str]:
        """Files whose bytes, size, time or number in the file system are not those of before, and new or missing ones.

        A file that was replaced by an equal one is among them: whoever reads may have seen a third.
        """
        now = marks_of(self.paths)
        return sorted(path for path in {*self.before, *now} if self.before.get(path) != now.get(path))

    def changed_since(self) -> list[str]:
        """Files that hold other bytes than before, and new or missing ones."""
        before, now = self.digests, digests_of(marks_of(self.paths))
        return sorted(path for path in {*before, *now} if before.get(path) != now.get(path))


def source_paths(config: RetrainJob) -> list[Path]:
    """Files and folders that the job's data are read from.

    Raises:
        UserError: one that is not there, or is of no known format.
    """
    corpus = config.task.corpus
    if corpus.kind == "files":
        taken = {split for split in ("validation", "test") if getattr(config.data, f"split_{split}")}
        files = {split: name for split, name in corpus.files.items() if split not in taken}
        return list(split_paths(files, Path(config.data.root)).values())
    if corpus.kind == "hub" and corpus.name:
        with seen_as_path(f"task.corpus.name={corpus.name}"):
            return [Path(corpus.name)] if is_saved(Path(corpus.name)) else []
    return []


def marks_of(paths: Sequence[Path]) -> Marks:
    """Marks of files, and of all files in folders."""
    # `Path.is_dir` raises where a mount has gone.
    files = [file for path in paths for file in (_inside(path) if os.path.isdir(path) else [path])]  # noqa: PTH112
    return {str(file): _mark(file) for file in files}


def digests_of(marks: Marks) -> dict[str, str]:
    """SHA-256 of the files that can be read."""
    return {path: mark.sha256 for path, mark in marks.items() if mark is not None}


def while_read(changed: Sequence[str]) -> str:
    """Why such data are refused."""
    return f"{_named(changed)} changed while the night was reading: deliver files under another name, and rename them"


def with_sources(outcome: Outcome, sources: Sources) -> Outcome:
    """A night's outcome with what was read, and what of it has changed since."""
    if not sources.paths:
        return outcome
    try:
        changed = sources.changed_since()
    except OSError as error:  # the decision stands
        log.warning(f"nobody knows whether the night's files have changed since: {error}")
        return outcome
    details = {**outcome.details, SOURCES: sources.digests, CHANGED: changed}
    reasons = list(outcome.reasons)
    if changed:
        reasons.append(
            f"{_named(changed)} changed since the night has read: it decided on its copy, and what is there now is the "
            "next night's"
        )
    return replace(outcome, details=details, reasons=reasons)


def _inside(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _mark(path: Path) -> Mark | None:
    try:
        found = path.stat()
        sha256 = sha256_of(path)
    except OSError:
        return None
    return Mark(num_bytes=found.st_size, modified_ns=found.st_mtime_ns, inode=found.st_ino, sha256=sha256)


def _named(paths: Sequence[str]) -> str:
    shown = ", ".join(paths[:3])
    more = f" and {len(paths) - 3} more" if len(paths) > 3 else ""
    return f"{shown}{more} {'has' if len(paths) == 1 else 'have'}"
