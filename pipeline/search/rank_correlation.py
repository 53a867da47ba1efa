"""How far two orders agree, with ties."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]


def average_ranks(values: Values) -> Values:
    """Places in rising order from 1; equal values share the mean of their places.

    Args:
        values: (n,), infinite ones allowed.
    """
    _, group, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    shared: Values = (last - (counts - 1) / 2)[group]
    return shared


def spearman(first: Values, second: Values) -> float | None:
    """Pearson's correlation of the average ranks, from -1 to 1; none where one of the two says nothing.

    Args:
        first: (n,).
        second: (n,).
    """
    a, b = (average_ranks(values) - (len(values) + 1) / 2 for values in (first, second))
    norm = float(np.sqrt((a @ a) * (b @ b)))
    return float(np.clip(a @ b / norm, -1, 1)) if norm > 0 else None


def kendall(first: Values, second: Values) -> float | None:
    """Kendall's tau-b: agreeing pairs less disagreeing ones, ties taken out; none where one of the two says nothing.

    Args:
        first: (n,).
        second: (n,).
    """
    agreement, ties_apart = 0, [0, 0]
    ranks = [average_ranks(values) for values in (first, second)]
    for index in range(1, len(first)):
        a, b = (np.sign(values[index] - values[:index]).astype(int) for values in ranks)
        agreement += int(a @ b)
        ties_apart[0] += int(a @ a)
        ties_apart[1] += int(b @ b)
    norm = float(np.sqrt(float(ties_apart[0]) * float(ties_apart[1])))
    return float(np.clip(agreement / norm, -1, 1)) if norm > 0 else None
