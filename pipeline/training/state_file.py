"""A file of tensors and numbers, digested while it is written."""

from __future__ import annotations

from pathlib import Path
from typing import IO, Any, cast

import torch

from pipeline.storage.atomic import flush_file
from pipeline.storage.digests import DigestingFile
from pipeline.storage.sealed import DamagedFileError


def write_state(path: Path, state: Any) -> str:
    """Write a file for `read_state`, and wait until it lies on the disk.

    Returns:
        the SHA-256 of the file, in hex.

    Raises:
        OSError: no place to write.
    """
    with path.open("wb") as file:
        digesting = DigestingFile(file)
        torch.save(state, cast(IO[bytes], digesting))  # it writes, and no more
    flush_file(path)
    return digesting.sha256


def read_state(path: Path, device: torch.device | str, *, is_mapped: bool = False) -> Any:
    """What `write_state` has written, on a device; nothing but tensors and plain values is taken.

    Args:
        path: the file.
        device: where tensors go.
        is_mapped: its tensors stay in the file until they are looked at; it has to stay as long as they.

    Raises:
        DamagedFileError: it cannot be read, or is no such file.
    """
    try:
        return torch.load(path, map_location=device, weights_only=True, mmap=is_mapped)
    except Exception as error:  # whatever its readers meet
        raise DamagedFileError(path, "tensors and plain values", f"{type(error).__name__}") from error
