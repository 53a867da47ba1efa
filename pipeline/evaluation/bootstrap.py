"""Bootstrap: how far a mean, or the difference of two, may be chance.

Examples are drawn with replacement, as many as there are, 1000 times with a fixed seed (Koehn 2004).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

NUM_RESAMPLES = 1000
SEED = 12345
LEVELS = (2.5, 97.5)  # percentiles of a 95 % interval

Scores = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]
Statistic = Callable[[Indices], Scores]  # indices of drawn examples -> scores


@dataclass(frozen=True, kw_only=True)
class Difference:
    """How much a second system is above a first one."""

    value: float
    low: float
    high: float
    p_value: float


def interval_of_mean(values: Scores) -> tuple[float, float]:
    """The 95 % interval of the mean of one score per example."""
    means = np.array([values[drawn].mean() for drawn in _draws(len(values))])
    low, high = np.percentile(means, LEVELS)
    return float(low), float(high)


def paired_differences(first: Statistic, second: Statistic, num_examples: int) -> list[Difference]:
    """Second minus first, both on the same drawn examples, for every score of the statistics.

    The p-value is two-sided: how often a difference that is chance alone (the resampled ones around their mean) is as
    large as the one that was seen (Riezler & Maxwell 2005).
    """
    all_examples = np.arange(num_examples)
    seen = second(all_examples) - first(all_examples)
    drawn = np.array([second(indices) - first(indices) for indices in _draws(num_examples)])
    low, high = np.percentile(drawn, LEVELS, axis=0)
    as_large = (np.abs(drawn - drawn.mean(axis=0)) >= np.abs(seen) - 1e-12).sum(axis=0)
    p_values = (as_large + 1) / (NUM_RESAMPLES + 1)
    columns = zip(seen, low, high, p_values, strict=True)
    return [Difference(value=float(v), low=float(a), high=float(b), p_value=float(p)) for v, a, b, p in columns]


def _draws(num_examples: int) -> Iterator[Indices]:
    generator = np.random.default_rng(SEED)
    for _ in range(NUM_RESAMPLES):
        yield generator.integers(num_examples, size=num_examples)
