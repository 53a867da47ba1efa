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

from pipeline.storage.atomic import atomic_folder, atomic_json

if TYPE_CHECKING:
    from transformers import PreTrainedModel

HEADS, WEIGHTS, FAILURE = "heads.json", "model.safetensors", "failure.json"


def has_heads(folder: Path) -> bool:
    """Whether heads were chosen."""
    return (folder / HEADS).is_file()


def read_heads(folder: Path) -> dict[str, list[int]]:
    """The heads that a student keeps; an empty dictionary is all of them."""
    heads: dict[str, list[int]] = json.loads((folder / HEADS).read_text()) if has_heads(folder) else {}
    return heads


def load_weights(student: PreTrainedModel, folder: Path) -> None:
    """Give a pruned student the weights that were trained with its gates, if there were gates."""
    if (folder / WEIGHTS).is_file():
        trained, own = load_file(folder / WEIGHTS), dict(student.named_parameters())
        assert set(trained) == set(own)  # tied matrices once in both
        student.load_state_dict(trained, strict=False)


def read_failure(folder: Path) -> str | None:
    """Why no heads could be chosen."""
    path = folder / FAILURE
    return f"gates: {json.loads(path.read_text())}" if path.is_file() else None


def write_start(folder: Path, heads: Mapping[str, list[int]], weights: Mapping[str, Tensor]) -> None:
    """Write a folder, whole or not at all.

    Args:
        folder: of the student's start.
        heads: attention module -> heads that are kept.
        weights: that were trained with the gates; none where there were no gates.
    """
    with atomic_folder(folder) as partial:
        if weights:
            save_file({name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}, partial / WEIGHTS)
        atomic_json(partial / HEADS, heads)


def write_failure(folder: Path, reason: str) -> None:
    """Write down why no heads could be chosen."""
    atomic_json(folder / FAILURE, reason)
