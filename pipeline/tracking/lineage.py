"""Where a run comes from: commit, versions, machine."""

from __future__ import annotations

import getpass
import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

from pipeline import __version__

PACKAGES = ("torch", "transformers", "deepspeed", "ray", "mlflow", "datasets")


def lineage() -> dict[str, str]:
    """Tags that say with what a run was made."""
    tags = {
        "mlflow.user": _user(),
        "dq.version": __version__,
        "dq.host_cpus": str(psutil.cpu_count()),
        "dq.host_cpu": _cpu(),
        "dq.python": platform.python_version(),
    }
    for package in PACKAGES:
        try:
            tags[f"dq.version.{package}"] = version(package)
        except PackageNotFoundError:
            continue
    commit = _git_commit()
    return tags | ({"mlflow.source.git.commit": commit} if commit else {})


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return f"uid-{os.getuid()}"


def _cpu() -> str:
    """The processor's name, which Linux tells and Python does not."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8", errors="replace").splitlines() if info.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names and names[0] else platform.processor() or platform.machine()


def _git_commit() -> str | None:
    """The commit of the working tree; a submitted job runs in a copy that has none, its submitter may know it."""
    if commit := os.environ.get("DQ_GIT_COMMIT"):
        return commit
    try:
        answer = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=Path(__file__).parent, capture_output=True, text=True, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() if answer.returncode == 0 else None
