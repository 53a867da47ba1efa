"""Rows of token ids as arrays."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int64]


def padded(rows: Sequence[Sequence[int]], value: int) -> Ids:
    """Rows of numbers as one (rows, longest) array, padded at their ends."""
    array = np.full((len(rows), max((len(row) for row in rows), default=1)), value, np.int64)
    for index, row in enumerate(rows):
        array[index, : len(row)] = row
    return array


def mask_of(rows: Sequence[Sequence[int]]) -> Ids:
    """1 where `padded` has a token, 0 where it has padding."""
    return padded([[1] * len(row) for row in rows], 0)
