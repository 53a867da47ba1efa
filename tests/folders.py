"""Model folders as the hub has them: settings that are left out, tensors that are missing or renamed."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file

WEIGHTS = "model.safetensors"


def set_config(folder: Path, *left_out: str, **settings: Any) -> None:
    """Leave settings out of a folder's config.json, and write others into it."""
    path = folder / "config.json"
    config = {name: value for name, value in json.loads(path.read_text()).items() if name not in left_out}
    path.write_text(json.dumps(config | settings))


def set_tensors(folder: Path, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Write a folder's weights anew: what `change` makes of them."""
    changed = change(load_file(folder / WEIGHTS))
    save_file({name: tensor.contiguous() for name, tensor in changed.items()}, folder / WEIGHTS, {"format": "pt"})
