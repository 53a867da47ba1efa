"""What is decided of a student before its training, written down once.

heads.json          attention module -> heads of the teacher's layer that are kept
model.safetensors   only after gates: the weights that were trained with them, in full precision
failure.json        instead of both: why the gates failed; the cohort says so, and the next submission tries again
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors.torch import load_file, save_file
from torch import Tensor

from pipeline.storage.atomic import atomic_json
from pipeline.storage.sealed import check_folder, is_whole, sealed_folder

if TYPE_CHECKING:
    from transformers import PreTrainedModel

HEADS, WEIGHTS, FAILURE = "heads.json", "model.safetensors", "failure.json"


def has_heads(folder: Path) -> bool:
    """Whether heads were chosen; a damaged choice is set aside, with a warning."""
    return is_whole(folder, "its heads are chosen again") and (folder / HEADS).is_file()


def read_heads(folder: Path) -> dict[str, list[int]]:
    """The heads that a student keeps; an empty dictionary is all of them.

    Raises:
        DamagedFileError: the folder is not what was written.
    """
    check_folder(folder)
    file = folder / HEADS
    heads: dict[str, list[int]] = json.loads(file.read_text()) if file.is_file() else {}
    return heads


def load_weights(student: PreTrainedModel, folder: Path) -> None:
    """Give a pruned student the weights that were trained with its gates, if there were gates.

    Raises:
        DamagedFileError: the folder is not what was written.
    """
    check_folder(folder)
    if (folder / WEIGHTS).is_file():
        trained, own = load_file(folder / WEIGHTS), dict(student.named_parameters())
        assert set(trained) == set(own)  # tied matrices once in both
        student.load_state_dict(trained, strict=False)


def read_failure(folder: Path) -> str | None:
    """Why no heads could be chosen.

    Raises:
        DamagedFileError: the folder is not what was written.
    """
    check_folder(folder)
    path = folder / FAILURE
    return f"gates: {json.loads(path.read_text())}" if path.is_file() else None


def write_start(folder: Path, heads: Mapping[str, list[int]], weights: Mapping[str, Tensor]) -> None:
    """Write a folder, whole or not at all.

    Args:
        folder: of the student's start.
        heads: attention module -> heads that are kept.
        weights: that were trained with the gates; none where there were no gates.
    """
    with sealed_folder(folder) as partial:
        if weights:
            save_file({name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}, partial / WEIGHTS)
        atomic_json(partial / HEADS, heads)


def write_failure(folder: Path, reason: str) -> None:
    """Write down why no heads could be chosen; what was chosen before goes."""
    with sealed_folder(folder) as partial:
        atomic_json(partial / FAILURE, reason)
