"""How sure a night must be: the frozen test set is used every night, and all nights share one rate of errors.

Every use gets the same level, the rate for the number of uses. By the union bound the chance that any of them errs is
at most the rate, whatever the nights have to do with each other: the examples are the same, and candidates are alike.
After so many uses the set is worn out.

The bound needs candidates that are trained without a look at the frozen set. All that the nights learn of it is who was
promoted: a champion was chosen by these examples and looks better on them than it is, which makes the next promotion
harder.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

LARGEST_SCORE = 100.0  # scores are percent, so no difference is below its negative

Values = npt.NDArray[np.float64]


def level_of_a_use(rate: float, num_uses: int) -> float:
    """The chance of an error that one of many uses may have.

    Args:
        rate: of all uses together.
        num_uses: how many there will be.

    Raises:
        ValueError: no rate between 0 and 1, or no uses.
    """
    if not 0 < rate < 1 or num_uses < 1:
        raise ValueError(f"a rate of {rate} for {num_uses} uses")
    return rate / num_uses


def paired(candidate: Sequence[float], champion: Sequence[float]) -> Values:
    """Candidate minus champion, example by example, in points.

    Returns:
        All of them nan where one score is no percentage or not both have the same number: nothing is known then.
    """
    if not candidate or len(candidate) != len(champion):
        return np.array([math.nan])
    scores = np.array([candidate, champion], dtype=np.float64)
    is_sound = bool(((scores >= 0) & (scores <= LARGEST_SCORE)).all())
    return np.asarray(scores[0] - scores[1] if is_sound else np.full(len(candidate), math.nan))


def lower_bound(differences: Values, level: float) -> Values:
    """What the true mean of differences is not below, but for a chance of `level`.

    Levels are near 1 / 10,000, where percentiles of 1,000 resamples say nothing. So this is the mean less a quantile
    times its standard error. The error is that of the paired differences, which for a mean is what a paired bootstrap
    estimates, without the chance of its draws. The quantile is Student's: the deviation is itself estimated, and with
    few examples the normal one would be too sure.

    Two things keep it honest where differences are rare and large, as those of right and wrong answers are:

    - One example more is counted, on which the candidate loses everything. Else a candidate without a loss among the
      examples that were seen would have no error at all, while a loss in every 200 examples is often not seen in 400.
    - Where losses are larger than gains the mean's distribution has a longer lower tail, and Student's quantile is too
      near. The bound is lowered by the term of first order (Johnson 1978); it is never raised.

    Of right and wrong answers the chance can be computed exactly. At margins of 0.5, 1 and 2 points it is below the
    level on 100 to 5,000 examples with losses alone, and at most 1.4 times the level on 100 to 2,000 with gains on 1 or
    5 % of them. Student's bound alone is up to thousands of times above it.

    Args:
        differences: in points, (..., examples), each from -100 to 100.
        level: between 0 and 1.

    Returns:
        (...); nan where a difference is nan, -inf where there are fewer than two examples.

    Raises:
        ValueError: no level between 0 and 1.
    """
    if not 0 < level < 1:
        raise ValueError(f"a level of {level}")
    num = differences.shape[-1]
    if num < 2:
        return np.full(differences.shape[:-1], -math.inf)
    mean = (differences.sum(axis=-1) - LARGEST_SCORE) / (num + 1)
    centred = differences - mean[..., None]
    loss = -LARGEST_SCORE - mean
    square = centred * centred
    variance = (square.sum(axis=-1) + loss**2) / num
    third = ((square * centred).sum(axis=-1) + loss**3) / num
    quantile = -float(stdtrit(num, level))
    # Of differences that are all -100 there is no variance, and no skewness.
    skewed = (
        np.minimum(third, 0) / np.maximum(variance, np.finfo(np.float64).tiny) * (2 * quantile**2 + 1) / (6 * (num + 1))
    )
    return np.asarray(mean + skewed - quantile * np.sqrt(variance / (num + 1)))
