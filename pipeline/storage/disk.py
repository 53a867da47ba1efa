"""Errors of a disk that takes no more, whichever library met them: nothing that is away and comes back by itself."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator

from pipeline.config.errors import UserError

REASONS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "a file is larger than its disk or a limit allows",
    errno.EROFS: "the disk can be read only",
}
# As the database of a local store says it; one that is locked is waited for.
OF_DATABASES = {
    "SQLITE_FULL": REASONS[errno.ENOSPC],
    "SQLITE_READONLY": REASONS[errno.EROFS],
    "SQLITE_IOERR": "the disk did not do what the database of the runs asked of it: full, read only, or broken",
}
# Errors of files, and not of a connection: trying again gives the same.
OF_FILES = frozenset(
    {*REASONS, errno.EACCES, errno.EPERM, errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.EIO}
)
# As torch, safetensors, arrow and Ray say it, in whose errors no number is left.
SAID = re.compile(
    r"No space left on device|database or disk is full|Disk quota exceeded|"
    r"PytorchStreamWriter failed writing|inline_container\.cc.*unexpected pos",
    re.DOTALL,
)


def disk_trouble(error: BaseException) -> UserError | None:
    """What to tell a person where an error, or what led to it, is that of a disk; none if it is not."""
    for one in _chain(error):
        if isinstance(one, UserError):
            return None  # said already
        if isinstance(one, OSError) and one.errno in REASONS:
            return _told(REASONS[one.errno], str(one.filename or ""))
        # An MLflow server that says so means a disk of its own, and may be mended while the job waits.
        is_own = not type(one).__module__.startswith("mlflow")
        database = str(getattr(one, "sqlite_errorname", ""))
        if reason := next((said for name, said in OF_DATABASES.items() if database.startswith(name)), None):
            return _told(reason, "")
        if is_own and SAID.search(str(one)):
            return _told(REASONS[errno.ENOSPC], "")
    return None


def is_of_files(error: BaseException) -> bool:
    """Whether an error is that of a file or a disk, not of a connection."""
    return isinstance(error, OSError) and error.errno in OF_FILES


def _told(reason: str, file: str) -> UserError:
    return UserError(
        f"{reason} ({file})" if file else reason,
        "room for what a job stores",
        "free disk space, or set storage.path to another disk, and submit the same command again",
    )


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error and what led to it: as Python, SQLAlchemy (`orig`) and Ray Train (`_base_exc`) keep it."""
    seen: list[BaseException] = []
    pending: list[object] = [error]
    while pending:
        one = pending.pop(0)
        if not isinstance(one, BaseException) or any(one is other for other in seen):
            continue
        seen.append(one)
        yield one
        hidden = None if one.__suppress_context__ else one.__context__
        pending += [one.__cause__, hidden, getattr(one, "orig", None), getattr(one, "_base_exc", None)]
