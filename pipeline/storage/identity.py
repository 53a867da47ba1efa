"""What a folder is, as one short text: equal names and contents of its files, equal identity, wherever it lies."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path

from pipeline.storage.digests import BLOCK_BYTES

PLAIN_NAME = re.compile(r"[\w.-]+", re.ASCII)
LENGTH_BYTES = 8


def identity_of(files: Sequence[Path]) -> str:
    """The SHA-256 of names and contents, in hex; each with its length in front, so that none runs into the next.

    Where every file itself says where it ends (a JSON object, safetensors), as in a folder that `save_pretrained` has
    written with a fast tokenizer, nothing can run into anything, and lengths are left out: such folders have the
    identities that earlier versions gave them, by which finished teachers are found.

    Args:
        files: in their order.

    Raises:
        OSError: one cannot be read.
    """
    digest, has_lengths = hashlib.sha256(), not all(map(_says_its_end, files))
    for path in files:
        name = path.name.encode(errors="surrogateescape")
        if has_lengths:
            digest.update(len(name).to_bytes(LENGTH_BYTES, "little"))
        digest.update(name)
        if has_lengths:
            digest.update(path.stat().st_size.to_bytes(LENGTH_BYTES, "little"))
        with path.open("rb") as file:
            while block := file.read(BLOCK_BYTES):
                digest.update(block)
    return digest.hexdigest()


def _says_its_end(path: Path) -> bool:
    """Whether name and content can be read off a stream that goes on: a plain name up to `{` or a length, and so on."""
    if not PLAIN_NAME.fullmatch(path.name):
        return False
    if path.suffix == ".safetensors":
        return _is_whole_safetensors(path)
    return path.suffix == ".json" and _is_object(path.read_bytes())


def _is_object(content: bytes) -> bool:
    try:
        return content.startswith(b"{") and isinstance(json.loads(content.decode()), dict)
    except (ValueError, RecursionError):
        return False


def _is_whole_safetensors(path: Path) -> bool:
    """Whether header and tensors, whose lengths stand in front, are all that a file holds."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(LENGTH_BYTES), "little")
        if length > path.stat().st_size:
            return False
        header = file.read(length)
    try:
        tensors = json.loads(header.decode())
        ends = [tensor["data_offsets"][1] for name, tensor in tensors.items() if name != "__metadata__"]
        return bool(LENGTH_BYTES + length + max(ends, default=0) == path.stat().st_size)
    except (ValueError, RecursionError, AttributeError, KeyError, IndexError, TypeError):
        return False
