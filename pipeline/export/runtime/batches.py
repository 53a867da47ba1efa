"""Rows of token ids in batches, the same batches as in the evaluation of a model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int64]


def batches_of(lengths: Sequence[int], batch_tokens: int) -> list[list[int]]:
    """Row numbers in batches, longest first, every row once.

    Args:
        lengths: tokens of every row.
        batch_tokens: most padded tokens in a batch.
    """
    batches: list[list[int]] = []
    for row in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        if not batches or (len(batches[-1]) + 1) * lengths[batches[-1][0]] > batch_tokens:
            batches.append([])
        batches[-1].append(row)
    return batches


def padded(rows: Sequence[Sequence[int]], value: int) -> Ids:
    """Rows of numbers as one (rows, longest) array, padded at their ends."""
    array = np.full((len(rows), max((len(row) for row in rows), default=1)), value, np.int64)
    for index, row in enumerate(rows):
        array[index, : len(row)] = row
    return array


def mask_of(rows: Sequence[Sequence[int]]) -> Ids:
    """1 where `padded` has a token, 0 where it has padding."""
    return padded([[1] * len(row) for row in rows], 0)
