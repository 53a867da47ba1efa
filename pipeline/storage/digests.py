"""What a file or JSON holds, as one short text; also of a file while it is written."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

BLOCK_BYTES = 1 << 20


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hex.

    Raises:
        OSError: it cannot be read.
    """
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def json_digest(content: Mapping[str, Any], *, allow_nan: bool = True) -> str:
    """The SHA-256 of canonical JSON, in hex: the order of keys, which are texts, and blanks between do not matter.

    Raises:
        ValueError: a number that is not finite, where none is allowed.
    """
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=allow_nan)
    return hashlib.sha256(text.encode()).hexdigest()


class DigestingFile:
    """A file that is digested while it is written, from its beginning to its end; `torch.save` takes one.

    Args:
        file: open for writing; whoever opened it closes it.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._digest = file, hashlib.sha256()

    def write(self, block: bytes) -> int:
        """Append bytes.

        Returns:
            how many.
        """
        self._digest.update(block)
        return self._file.write(block)

    def flush(self) -> None:
        """Give what was written to the system."""
        self._file.flush()

    @property
    def sha256(self) -> str:
        """Of what was written so far, in hex."""
        return self._digest.hexdigest()
