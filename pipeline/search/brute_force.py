"""The optimum of a space that is small enough to try everything, and how far an answer is from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic

from pipeline.search.cover import Architecture
from pipeline.search.fptas import HyperParameters, Result, Trial, trials_of

ROUNDING = 1e-12  # of the division by the largest rise; without rises the bound is exact


@dataclass(frozen=True, kw_only=True)
class Distance(Generic[Architecture, HyperParameters]):
    """An answer beside the optimum.

    Args:
        optimum: the best trial of all.
        relative: what the answer lacks of the optimum's W, as a part of it; 0 where both have W = 0.
        places: how many places of the order lie between the two.
        within_bound: whether the optimum is at most what the guarantee allowed, up to rounding; none where it allowed
            anything.
    """

    optimum: Trial[Architecture, HyperParameters]
    relative: float
    places: int
    within_bound: bool | None


def brute_force(
    found: Result[Architecture, HyperParameters], error: Callable[[Architecture, HyperParameters], float]
) -> Distance[Architecture, HyperParameters]:
    """Try every candidate of a finished search under all its hyper-parameters.

    Args:
        found: the search.
        error: the function that it was given; called again for candidates that were tried.

    Raises:
        UserError: an error that is no positive number.
    """
    everything = trials_of(found.candidates, found.maximum, error, found.hyper_parameters)
    optimum, bound = max(everything, key=lambda trial: trial.w), found.guarantee.upper_bound
    return Distance(
        optimum=optimum,
        relative=1 - found.best.w / optimum.w if optimum.w > 0 else 0.0,
        places=abs(optimum.candidate.rank - found.best.candidate.rank),
        within_bound=None if bound is None else optimum.w <= bound * (1 + ROUNDING),
    )
