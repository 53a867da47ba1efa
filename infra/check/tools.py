"""Tools of the environment that runs this check: found beside its Python, else on the PATH; run without a network."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from infra.check.finding import CannotRunError

TOOL_SECONDS = 600


def find_tool(name: str) -> Path | None:
    """Where a tool is."""
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.is_file() else shutil.which(name)
    return Path(found) if found else None


def needed_tool(name: str) -> Path:
    """Where a tool is that must be there.

    Raises:
        CannotRunError: it is not.
    """
    found = find_tool(name)
    if found is None:
        change = "run `make infra-check`, which sets them up, or install infra/check/requirements.txt"
        raise CannotRunError(f"{name} is neither beside {sys.executable} nor on the PATH", "the pinned tools", change)
    return found


def run_tool(words: Sequence[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a tool in a folder, with that as its home: no settings of whoever calls count.

    Raises:
        CannotRunError: it takes too long.
    """
    environment = os.environ | {"HOME": str(folder), "XDG_CONFIG_HOME": str(folder), "NO_COLOR": "1"}
    try:
        return subprocess.run(
            words, cwd=folder, env=environment, capture_output=True, text=True, timeout=TOOL_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        name = Path(words[0]).name
        raise CannotRunError(
            f"{name} did not end within {TOOL_SECONDS} s", "a tool that ends", "look at what it is given"
        ) from None
