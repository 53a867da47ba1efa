"""The file that holds the weights of several graphs, each once."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

ALIGNMENT = 64  # bytes

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a tensor lies in the weights file: its first name, and what it is."""

    name: str
    offset: int
    length: int
    dtype: str


class WeightsFile:
    """Tensors one after the other in a file; the same bytes are written once, whoever asks for them.

    Args:
        path: the file, made here.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.places = path, dict[bytes, Place]()
        self._file = path.open("xb")

    def place(self, name: str, array: Array) -> Place:
        """Where a tensor lies; it is written if it is new."""
        data = np.ascontiguousarray(array).tobytes()
        digest = hashlib.sha256(data).digest()
        if digest not in self.places:
            self._file.write(b"\0" * (-self._file.tell() % ALIGNMENT))
            offset = self._file.tell()
            self.places[digest] = Place(name=name, offset=offset, length=len(data), dtype=str(array.dtype))
            self._file.write(data)
        return self.places[digest]

    def close(self) -> None:
        """Nothing more comes."""
        self._file.close()
