"""The Pareto front of any number of costs: what no other candidate beats."""

from __future__ import annotations

import math
from collections.abc import Sequence


def front(points: Sequence[Sequence[float]]) -> list[int]:
    """The points that no other dominates: costs no more in anything, and less in something. Equal points stay together.

    In the order of their costs a point can be dominated only by one before it, and then also by one of the front.

    Args:
        points: the costs of each, lower is better in all of them; infinity is the worst.

    Returns:
        The indices of the front, rising.

    Raises:
        ValueError: points with different numbers of costs, or a cost that is no number.
    """
    if len({len(point) for point in points}) > 1:
        raise ValueError("points with different numbers of costs")
    if any(math.isnan(cost) for point in points for cost in point):
        raise ValueError("a cost that is no number: nothing is better or worse")
    kept: list[int] = []
    for index in sorted(range(len(points)), key=lambda index: tuple(points[index])):
        if not any(_dominates(points[other], points[index]) for other in kept):
            kept.append(index)
    return sorted(kept)


def _dominates(one: Sequence[float], other: Sequence[float]) -> bool:
    no_worse = all(mine <= theirs for mine, theirs in zip(one, other, strict=True))
    return no_worse and any(mine < theirs for mine, theirs in zip(one, other, strict=True))
