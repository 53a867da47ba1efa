"""The lines of a lock file that belong to some packages, so that versions and hashes stand in one file.

    python infra/docker/lock_of.py infra/docker/runtime.txt infra/requirements.lock > runtime.lock

An image installs a part of what infra/requirements.lock pins. Which part, a list of names says; pip, told to
--require-hashes, refuses to install anything that such a list forgot. Needs nothing but Python.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

PINNED = re.compile(r"([A-Za-z0-9._-]+)==\S+ ?(;.*)?\\")


def normal(name: str) -> str:
    """A package's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def names_of(text: str) -> list[str]:
    """The names in a list, one a line; lines that begin with # are for people."""
    return [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]


def packages_of(text: str) -> dict[str, list[str]]:
    """A lock file's packages: normal name -> its lines, the one with the version first."""
    packages: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        if found := PINNED.match(line):
            lines = packages.setdefault(normal(found[1]), [])
        lines.append(line)
    return packages


def lock_of(names: list[str], lock: str) -> str:
    """The lock file of these packages alone, in the order of their names.

    Raises:
        ValueError: names that the lock file does not have, or a name given twice.
    """
    packages = packages_of(lock)
    missing = sorted(name for name in names if normal(name) not in packages)
    twice = sorted({name for name in names if [normal(other) for other in names].count(normal(name)) > 1})
    if missing or twice:
        parts = [f"not in the lock file: {', '.join(missing)}"] if missing else []
        parts += [f"named twice: {', '.join(twice)}"] if twice else []
        raise ValueError("; ".join(parts))
    return "".join(line + "\n" for name in sorted(names, key=normal) for line in packages[normal(name)])


def main(arguments: list[str]) -> int:
    """Print the lock file of a list of names; exit code 2 is a mistake, which one sentence on stderr tells."""
    if len(arguments) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    names, lock = (Path(word) for word in arguments)
    try:
        sys.stdout.write(lock_of(names_of(names.read_text()), lock.read_text()))
    except (OSError, ValueError) as error:
        print(
            f"lock_of.py: {names}, {lock}: {error}. Allowed: a list of names, each once, all of them in the lock file. "
            "Change: the list, or make the lock file again.",
            file=sys.stderr,
        )
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
