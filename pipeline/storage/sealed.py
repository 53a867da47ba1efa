"""Folders that know what they hold: digested when they are written, checked when they are read.

The seal of a folder is its file `digests.json`:

    format        dq-sealed/1
    written_by    who wrote it
    sha256        path in the folder -> SHA-256, of every file but the seal
    seal          SHA-256 of the three above

Every file is listed and no other file is there. Earlier versions wrote no seals: what they left goes on being used, and
is sealed as it is when it is first met.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from pipeline import WRITTEN_BY
from pipeline.config.errors import UserError
from pipeline.storage.atomic import atomic_folder, atomic_json, set_aside
from pipeline.storage.digests import json_digest, sha256_of

SEAL, FORMAT = "digests.json", "dq-sealed/1"
SHA256 = "sha256"
REMEDY = (
    "copy it again from where it is whole, or remove it and submit the job again that has made it; what was changed on "
    f"purpose is taken without its {SEAL}"
)

log = logging.getLogger(__name__)

# Folder -> names, sizes and times of its files when they were checked: large ones are read once in a process.
_checked: dict[Path, list[tuple[str, int, int, int]]] = {}


class DamagedFileError(UserError):
    """A file is not what was written: it has changed, is missing, or nobody has written it.

    Args:
        file: the file.
        expected: what it should hold.
        found: what it holds.
        change: what a person can do.
    """

    def __init__(self, file: Path, expected: str, found: str, change: str = REMEDY) -> None:
        super().__init__(f"{file} is damaged: {found}", expected, change)
        self.file, self.expected, self.found = file, expected, found

    def __reduce__(self) -> tuple[type[UserError], tuple[object, ...]]:
        return type(self), (self.file, self.expected, self.found, self.change)


@contextmanager
def sealed_folder(target: Path) -> Iterator[Path]:
    """As `atomic_folder`; what the block has written is sealed."""
    with atomic_folder(target) as partial:
        yield partial
        write_seal(partial, digests_of(partial))


def digests_of(folder: Path) -> dict[str, str]:
    """Path -> SHA-256 of every file in a folder but its seal.

    Raises:
        OSError: one cannot be read.
    """
    return {name: sha256_of(folder / name) for name in files_in(folder)}


def files_in(folder: Path) -> list[str]:
    """Paths of the files in a folder, in its own folders, too, but for its seal; sorted."""
    paths = (Path(inner, name) for inner, _, names in os.walk(folder) for name in names)
    found = {path.relative_to(folder).as_posix() for path in paths}
    return sorted(name for name in found if name != SEAL and not name.startswith(f".{SEAL}."))  # one being written


def write_seal(folder: Path, digests: Mapping[str, str]) -> None:
    """Seal a folder.

    Args:
        folder: with all its files.
        digests: of all of them.

    Raises:
        OSError: no place to write.
    """
    content = {"format": FORMAT, "written_by": WRITTEN_BY, SHA256: dict(digests)}
    atomic_json(folder / SEAL, {**content, "seal": json_digest(content)})


def read_seal(folder: Path) -> dict[str, str]:
    """Path -> SHA-256 of every file of a sealed folder; the files are those that are there, unread.

    Raises:
        DamagedFileError: the seal is none, or lists other files than there are.
    """
    file = folder / SEAL
    try:
        seal = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise DamagedFileError(file, "the digests of all files of its folder", read_failure(error)) from None
    if not isinstance(seal, dict) or set(seal) != {"format", "written_by", SHA256, "seal"}:
        raise DamagedFileError(file, "format, written_by, sha256 and seal", "something else")
    if seal["format"] != FORMAT:
        raise DamagedFileError(file, f"format {FORMAT}", f"format {seal['format']}")
    expected, digests = seal.pop("seal"), seal[SHA256]
    if (found := json_digest(seal)) != expected or not isinstance(digests, dict):
        raise DamagedFileError(file, f"SHA-256 {expected}", f"SHA-256 {found}")
    there = set(files_in(folder))
    if missing := sorted(set(digests) - there):
        raise DamagedFileError(folder / missing[0], f"SHA-256 {digests[missing[0]]}", "no such file")
    if unlisted := sorted(there - set(digests)):
        raise DamagedFileError(folder / unlisted[0], f"no file that {SEAL} does not list", "a file")
    return digests


def check_file(folder: Path, name: str, sha256: str) -> None:
    """Read a file of a folder and compare it with its digest.

    Raises:
        DamagedFileError: another one, or it cannot be read.
    """
    try:
        found = f"SHA-256 {sha256_of(folder / name)}"
    except OSError as error:
        found = read_failure(error)
    if found != f"SHA-256 {sha256}":
        raise DamagedFileError(folder / name, f"SHA-256 {sha256}", found)


def check_folder(folder: Path) -> None:
    """Check every file of a folder that is sealed, once in this process while sizes and times stay as they are.

    Raises:
        DamagedFileError: as said by `read_seal` and `check_file`.
    """
    key = folder.absolute()
    if not is_sealed(folder):
        return
    try:
        state = _state(folder)
    except OSError as error:  # such as a link to nothing
        raise DamagedFileError(Path(error.filename or folder), "a file", read_failure(error)) from None
    if _checked.get(key) == state:
        return
    for name, sha256 in read_seal(folder).items():
        check_file(folder, name, sha256)
    _checked[key] = state


def is_sealed(folder: Path) -> bool:
    """Whether a folder has a seal, whole or not."""
    return (folder / SEAL).exists()


def is_whole(folder: Path, otherwise: str) -> bool:
    """Whether a folder is there and whole; a damaged one is set aside with a warning, one without a seal gets one.

    Args:
        folder: that can be made again.
        otherwise: what happens now if it is damaged, for people.
    """
    if not folder.is_dir():
        return False
    try:
        if not is_sealed(folder):
            seal_as_found(folder)
        check_folder(folder)
    except DamagedFileError as damage:
        put_aside(damage, folder, otherwise)
        return False
    return True


def seal_as_found(folder: Path) -> None:
    """Seal a folder of an earlier version, so that later damage is noticed.

    Raises:
        DamagedFileError: a file of it cannot be read.
        OSError: no place to write.
    """
    log.warning(f"{folder} has no digests: an earlier version has written it; it is taken as it is, and sealed now")
    try:
        digests = digests_of(folder)
    except OSError as error:
        raise DamagedFileError(Path(error.filename or folder), "a file", read_failure(error)) from None
    write_seal(folder, digests)


def put_aside(
    damage: DamagedFileError, path: Path, otherwise: str, *, also: Sequence[Path] = (), like: str | None = None
) -> None:
    """Keep what is damaged under another name, with a warning.

    Args:
        damage: what was found.
        path: the file or folder that cannot be used.
        otherwise: what happens now, for people.
        also: what cannot be used without it, set aside before it.
        like: as of `set_aside`.
    """
    try:
        for other in also:
            set_aside(other)
        kept = f"{path.name} is kept as {set_aside(path, like=like).name}"
    except FileNotFoundError:
        kept = f"another process has set {path.name} aside"
    log.warning(f"{damage.file} is damaged: expected {damage.expected}, found {damage.found}; {kept}, and {otherwise}")


def _state(folder: Path) -> list[tuple[str, int, int, int]]:
    stats = ((name, (folder / name).stat()) for name in (SEAL, *files_in(folder)))
    return [(name, stat.st_size, stat.st_mtime_ns, stat.st_ino) for name, stat in stats]


def read_failure(error: Exception) -> str:
    """Why a file could not be read as JSON, for people."""
    if isinstance(error, OSError):
        return f"it cannot be read ({error.strerror or error})"
    return "an empty or broken file" if isinstance(error, ValueError) else "JSON nested without end"
