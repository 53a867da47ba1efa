"""The progress of a checkpoint: how far its cohort was, who had left it, and who wrote it.

format           dq-checkpoint/3
written_by       the version that wrote it
epoch, step_in_epoch, step   of `loop.Progress`
failures, stopped            a reason, or null, for every learner
engine, num_ranks, device    of `layout.Layout`
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pipeline.config.sections.cluster import ClusterConfig
from pipeline.storage.sealed import DamagedFileError, check_file, read_failure
from pipeline.training.layout import Layout, layout_of

FORMAT = "dq-checkpoint/3"
EARLIER_FORMATS = ("dq-checkpoint/2",)  # with files by engine, ZeRO stage and number of ranks
PROGRESS = "progress.json"
LAYOUT = ("engine", "num_ranks", "device")


def progress_of(step: Path, digests: dict[str, str]) -> dict[str, Any]:
    """The progress of a sealed checkpoint.

    Args:
        step: its folder.
        digests: of its files, as its seal lists them.

    Raises:
        DamagedFileError: it is not what was written, or of another format.
    """
    if PROGRESS not in digests:
        raise DamagedFileError(step / PROGRESS, "a file that its seal lists", "one that it does not list")
    check_file(step, PROGRESS, digests[PROGRESS])
    try:
        progress: Any = json.loads((step / PROGRESS).read_bytes())
    except (ValueError, RecursionError) as error:
        raise DamagedFileError(step / PROGRESS, "a file of JSON", read_failure(error)) from None
    if not isinstance(progress, dict) or progress.get("format") != FORMAT:
        found = progress.get("format") if isinstance(progress, dict) else type(progress).__name__
        earlier = ", of an earlier version" if found in EARLIER_FORMATS else ""
        raise DamagedFileError(step / PROGRESS, f"format {FORMAT}", f"format {found}{earlier}")
    if odd := [name for name, is_one in ENTRIES.items() if name not in progress or not is_one(progress[name])]:
        raise DamagedFileError(step / PROGRESS, f"'{odd[0]}' as it is written", f"{progress.get(odd[0])!r}")
    number = progress["step"]
    if not step.name.endswith(f"-{number:08d}") or max(progress["epoch"], progress["step_in_epoch"]) > number:
        found = f"epoch {progress['epoch']}, step {progress['step_in_epoch']} of it, step {number}"
        raise DamagedFileError(step / PROGRESS, f"the progress of {step.name}", found)
    return progress


def written_under(progress: dict[str, Any]) -> Layout:
    """The layout of those who wrote a checkpoint.

    Args:
        progress: what `checkpoint.read_progress` gives of it.
    """
    return Layout(**{field: progress[field] for field in LAYOUT})


def is_others(progress: dict[str, Any], cluster: ClusterConfig) -> bool:
    """Whether a checkpoint was written under another layout than a cluster is configured for.

    Args:
        progress: what `checkpoint.read_progress` gives of it.
        cluster: asked for now.
    """
    return bool(progress) and written_under(progress) != layout_of(cluster)


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 0


def _is_reasons(value: Any) -> bool:
    return isinstance(value, list) and all(one is None or isinstance(one, str) for one in value)


def _is_name(value: Any) -> bool:
    return isinstance(value, str)


ENTRIES = {
    "epoch": _is_count,
    "step_in_epoch": _is_count,
    "step": _is_count,
    "failures": _is_reasons,
    "stopped": _is_reasons,
    "engine": _is_name,
    "num_ranks": lambda value: _is_count(value) and value > 0,
    "device": _is_name,
}
