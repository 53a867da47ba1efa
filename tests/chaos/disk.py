"""A file system of its own in memory, for one process and those that it starts; no rights are needed."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from pathlib import Path
from typing import Any, Self

from repository import ROOT

from chaos.fault import AbsentError

SIZE_MIB = 1200  # a job wants 1,024 MiB free at its start
FILLER = ".filler"


class Disk(contextlib.AbstractContextManager["Disk"]):
    """A tmpfs at a path, in a mount namespace that a sleeping process keeps.

    Args:
        path: where it lies, seen from inside.

    Raises:
        AbsentError: the kernel gives no namespaces to this user.
    """

    def __init__(self, path: Path) -> None:
        path.mkdir(parents=True, exist_ok=True)
        self.path = path
        mount = f"mount -t tmpfs -o size={SIZE_MIB}m none {path} && echo there && exec sleep infinity"
        if shutil.which("unshare") is None or shutil.which("nsenter") is None:
            raise AbsentError("no unshare or nsenter")
        self.keeper = subprocess.Popen(
            ["unshare", "-Urm", "sh", "-c", mount], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert self.keeper.stdout is not None and self.keeper.stderr is not None
        if self.keeper.stdout.readline().strip() != "there":
            raise AbsentError(f"no file system of its own: {self.keeper.stderr.read().strip()}")

    @property
    def prefix(self) -> list[str]:
        """Of commands that shall see it."""
        return ["nsenter", "-t", str(self.keeper.pid), "-U", "-m", "--preserve-credentials", f"--wd={ROOT}"]

    @property
    def seen_from_outside(self) -> Path:
        """The same folder for processes that are not inside."""
        return Path(f"/proc/{self.keeper.pid}/root{self.path}")

    def fill(self) -> None:
        """Leave not one byte."""
        self._inside(f"head -c {2 * SIZE_MIB}M /dev/zero > {self.path / FILLER} || true")

    def free(self) -> None:
        """Take back what `fill` took."""
        self._inside(f"rm {self.path / FILLER}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: Any) -> None:
        self.keeper.kill()
        self.keeper.communicate()

    def _inside(self, command: str) -> None:
        subprocess.run([*self.prefix, "sh", "-c", command], check=True, capture_output=True)
