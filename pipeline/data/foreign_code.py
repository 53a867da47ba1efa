"""Model folders that ask for Python of their own, which is never run. Known from their JSON files, so at once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.config.errors import UserError

CODE = "auto_map"  # class -> module.Class of a Python file in the folder, or of another repository
KERNELS = ("attn_implementation", "_attn_implementation", "experts_implementation", "_experts_implementation")
FILES = ("config.json", "tokenizer_config.json", "generation_config.json", "processor_config.json")


def check_no_code(named: Mapping[str, Any], file: str, name: str) -> None:
    """Refuse settings by which a model brings code along.

    Args:
        named: what one of its JSON files says.
        file: which one.
        name: what the user calls the model.

    Raises:
        UserError: it names Python classes of its own, or kernels to be fetched.
    """
    kernels = [key for key in KERNELS if "/" in str(named.get(key, ""))]
    if not named.get(CODE) and not kernels:
        return
    key = CODE if named.get(CODE) else kernels[0]
    raise UserError(
        f"'{name}' wants to run code of its own ({key} in {file}), which is never done",
        "models of the known families, computed by transformers' own classes",
        f"if it is such a model, remove {key} from a copy of it; else choose another",
    )


def check_folder_has_no_code(folder: Path, name: str) -> None:
    """Refuse a folder that brings code along. What cannot be read there is told by whoever reads it.

    Args:
        folder: where the model or tokenizer lies.
        name: what the user calls it.

    Raises:
        UserError: as of `check_no_code`.
    """
    for file in FILES:
        try:
            named = json.loads((folder / file).read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            continue
        if isinstance(named, dict):
            check_no_code(named, file, name)
