"""What times depend on beside model and settings: the machine, and the code that exports and runs."""

from __future__ import annotations

import platform
from pathlib import Path

import psutil

from pipeline import runtime
from pipeline.export import onnx


def machine_name() -> str:
    """Name of the processor, as far as it can be known, and its cores."""
    cpuinfo = Path("/proc/cpuinfo")  # Linux only
    text = cpuinfo.read_text() if cpuinfo.is_file() else ""
    lines = [line for line in text.splitlines() if line.startswith("model name")]
    name = lines[0].partition(":")[2].strip() if lines else platform.processor() or platform.machine()
    return f"{name}, {psutil.cpu_count()} cores"


def export_sources() -> list[str]:
    """The code that makes exported files, and that decides what the runtime does with them."""
    packages = [Path(str(package.__file__)).parent for package in (onnx, runtime)]
    sources = sorted(path for package in packages for path in package.rglob("*.py"))
    assert len(sources) > 2 * len(packages), "a package was moved, and keys would not notice its code"
    return [path.read_text(encoding="utf-8") for path in sources]
