"""How far the targets of pairs agree with their own sources, beyond what they would with the sources of others.

Both measures are a mean over pairs whose expectation for shuffled pairs is exactly 0, so nothing is drawn and the order
of pairs makes no difference.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from pipeline.retraining.pairs import Pairs
from pipeline.retraining.words import lengths_of, words_of

FEWEST = 30  # numbers from which the error of their mean can be told
Numbers = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """A way to compare any source of some pairs with any target.

    Args:
        name: what agrees.
        between: places of sources and places of targets, as many -> agreement of each two.
    """

    name: str
    between: Callable[[Places, Places], Numbers]


@dataclass(frozen=True, kw_only=True)
class Mean:
    """A mean and its standard error."""

    mean: float
    error: float


def mean_of(numbers: Numbers) -> Mean:
    """The mean of numbers; of very few its error is infinite: it is not known."""
    mean = math.fsum(numbers) / max(1, len(numbers))
    if len(numbers) < FEWEST:
        return Mean(mean=mean, error=math.inf)
    return Mean(mean=mean, error=float(np.std(numbers, ddof=1)) / math.sqrt(len(numbers)))


def agreements(pairs: Pairs) -> tuple[Agreement, ...]:
    """All that is known without a model."""
    return length_agreement(pairs), word_agreement(pairs)


def length_agreement(pairs: Pairs) -> Agreement:
    """Lengths in words: the mean over pairs is Spearman's correlation."""
    sources, targets = (_standardised(lengths_of(texts)) for texts in (pairs.sources, pairs.targets))
    return Agreement(name="lengths", between=lambda here, there: sources[here] * targets[there])


def word_agreement(pairs: Pairs) -> Agreement:
    """Words that both have, rare ones (names, numbers, terms) weighing more.

    The mean over pairs is the share of the weight of targets that stands in their own sources, less the share that
    stands in sources of others; a word of n texts of N weighs log(N / n).
    """
    sources, targets = ([frozenset(words_of(text)) for text in texts] for texts in (pairs.sources, pairs.targets))
    in_sources, in_targets = (Counter(word for words in texts for word in words) for texts in (sources, targets))
    total = len(sources) + len(targets)
    weights = {
        word: math.log(total / (in_sources[word] + in_targets[word])) for word in in_sources.keys() | in_targets.keys()
    }
    all_of_targets = math.fsum(weights[word] * num for word, num in in_targets.items())
    by_chance = math.fsum(weights[word] * num * in_sources[word] for word, num in in_targets.items())
    whole = max(all_of_targets / max(1, len(targets)), np.finfo(np.float64).tiny)
    expected = by_chance / max(1, len(targets)) ** 2

    def between(here: Places, there: Places) -> Numbers:
        both = zip(here.tolist(), there.tolist(), strict=True)
        shared = [math.fsum(weights[word] for word in sources[one] & targets[other]) for one, other in both]
        return (np.array(shared, dtype=np.float64) - expected) / whole

    return Agreement(name="shared words", between=between)


def _standardised(lengths: npt.NDArray[np.int64]) -> Numbers:
    """Ranks with mean 0 and variance 1; zeros where all are equal."""
    ranks = np.asarray(rankdata(lengths), dtype=np.float64)
    spread = float(ranks.std()) if len(ranks) else 0.0
    return (ranks - ranks.mean()) / spread if spread else np.zeros(len(ranks))
