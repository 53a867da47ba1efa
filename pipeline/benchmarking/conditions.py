"""What times depend on beside model and settings: the machine, what else it does, the code that exports and runs."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from pathlib import Path

import psutil

from pipeline import runtime
from pipeline.config.errors import UserError
from pipeline.export import onnx


def machine_name() -> str:
    """Name of the processor, as far as it can be known, and its cores."""
    cpuinfo = Path("/proc/cpuinfo")  # Linux only
    text = cpuinfo.read_text() if cpuinfo.is_file() else ""
    lines = [line for line in text.splitlines() if line.startswith("model name")]
    name = lines[0].partition(":")[2].strip() if lines else platform.processor() or platform.machine()
    return f"{name}, {num_cores()} cores"


def num_cores() -> int:
    """Cores of this machine."""
    return psutil.cpu_count() or 1


def check_threads(threads: Sequence[int], key: str) -> None:
    """Refuse more threads than there are cores.

    Args:
        threads: numbers of them, at least one.
        key: the setting that names them.

    Raises:
        UserError: as said.
    """
    if max(threads) > (cores := num_cores()):
        raise UserError(f"{max(threads)} threads", f"at most {cores} here", f"set {key}")


def allowed_load(threads: int, beyond: float) -> float:
    """Cores that others may use beside a worker without disturbing it.

    Args:
        threads: of the worker.
        beyond: cores beyond those that it leaves free.
    """
    return max(0, num_cores() - threads) + beyond


def export_sources() -> list[str]:
    """The code that makes exported files, and that decides what the runtime does with them."""
    packages = [Path(str(package.__file__)).parent for package in (onnx, runtime)]
    sources = sorted(path for package in packages for path in package.rglob("*.py"))
    assert len(sources) > 2 * len(packages), "a package was moved, and keys would not notice its code"
    return [path.read_text(encoding="utf-8") for path in sources]
