"""The search: train every candidate of an ε-cover a little, under all hyper-parameters, and keep the best by W.

Published: the order of the loops (hyper-parameters outside, candidates inside), that only a better W replaces the
best, that nothing stops early (arXiv 2010.08512 as the white paper on QOSE restates it; the printed box was not at
hand). Decided here: how an error comes about is the caller's function, so training for three steps, training to the
end and a table are one search.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from pipeline.config.errors import UserError
from pipeline.search.cover import (
    Architecture,
    Candidate,
    Cost,
    eps_cover,
    maximum_point,
    ordered,
    saving,
    w_coefficient,
)
from pipeline.search.guarantee import Guarantee, guarantee_of

HyperParameters = TypeVar("HyperParameters")


@dataclass(frozen=True, kw_only=True)
class Trial(Generic[Architecture, HyperParameters]):
    """One candidate under one assignment of hyper-parameters.

    Args:
        candidate: what was trained.
        hyper_parameters: θ.
        error: what came of it.
        w: its W-coefficient.
    """

    candidate: Candidate[Architecture]
    hyper_parameters: HyperParameters
    error: float
    w: float


@dataclass(frozen=True, kw_only=True)
class Result(Generic[Architecture, HyperParameters]):
    """What a search found.

    Args:
        best: the trial with the highest W, the first of equal ones.
        trials: all of them, in the order in which they were made.
        candidates: all candidates in order, tried or not.
        hyper_parameters: all assignments.
        maximum: the costs of T.
        eps: the interval.
        guarantee: how good the answer is.
    """

    best: Trial[Architecture, HyperParameters]
    trials: tuple[Trial[Architecture, HyperParameters], ...]
    candidates: tuple[Candidate[Architecture], ...]
    hyper_parameters: tuple[HyperParameters, ...]
    maximum: Cost
    eps: int
    guarantee: Guarantee


def search(
    architectures: Sequence[Architecture],
    cost: Callable[[Architecture], Cost],
    error: Callable[[Architecture, HyperParameters], float],
    *,
    hyper_parameters: Sequence[HyperParameters],
    eps: int,
    maximum: Cost | None = None,
    least_error: float = 0.0,
) -> Result[Architecture, HyperParameters]:
    """Search a space.

    Args:
        architectures: Ξ.
        cost: size and inference of an architecture.
        error: error of an architecture under hyper-parameters; infinite where training diverged.
        hyper_parameters: Θ.
        eps: the interval ε; 1 tries everything.
        maximum: the costs of T; none: the largest of the space.
        least_error: an error below which no candidate can come, for the guarantee alone; 0: none is known.

    Raises:
        UserError: an empty space, no hyper-parameters, an interval that the space does not have, costs or errors that
            are no positive numbers, a maximum point that a candidate exceeds.
    """
    if not hyper_parameters:
        raise UserError("no hyper-parameters", "at least one assignment", "change the hyper-parameters that are tried")
    candidates = ordered(architectures, cost)
    maximum = maximum or maximum_point(candidates)
    cover = eps_cover(candidates, eps)
    for candidate in candidates:  # before anything is trained
        saving(candidate.cost, maximum)
    return result_of(
        trials_of(cover, maximum, error, hyper_parameters),
        candidates,
        hyper_parameters=hyper_parameters,
        eps=eps,
        maximum=maximum,
        least_error=least_error,
    )


def result_of(
    trials: Sequence[Trial[Architecture, HyperParameters]],
    candidates: Sequence[Candidate[Architecture]],
    *,
    hyper_parameters: Sequence[HyperParameters],
    eps: int,
    maximum: Cost,
    least_error: float = 0.0,
) -> Result[Architecture, HyperParameters]:
    """What trials amount to, whoever made them: one that is given up on the way is none.

    Args:
        trials: at least one.
        candidates: all of them, in order.
        hyper_parameters: see `search`, as the others.
        eps: likewise.
        maximum: likewise.
        least_error: likewise.
    """
    least: dict[int, float] = {}
    for trial in trials:
        rank = trial.candidate.rank
        least[rank] = min(trial.error, least.get(rank, trial.error))
    return Result(
        best=max(trials, key=lambda trial: trial.w),
        trials=tuple(trials),
        candidates=tuple(candidates),
        hyper_parameters=tuple(hyper_parameters),
        maximum=maximum,
        eps=eps,
        guarantee=guarantee_of(candidates, maximum, eps=eps, errors=least, least_error=least_error),
    )


def trials_of(
    candidates: Sequence[Candidate[Architecture]],
    maximum: Cost,
    error: Callable[[Architecture, HyperParameters], float],
    hyper_parameters: Sequence[HyperParameters],
) -> tuple[Trial[Architecture, HyperParameters], ...]:
    """Every candidate under every assignment, assignments outside.

    Raises:
        UserError: an error that is no positive number, a maximum point that a candidate exceeds.
    """
    trials = []
    for assignment in hyper_parameters:
        for candidate in candidates:
            seen = error(candidate.architecture, assignment)
            w = w_coefficient(candidate.cost, maximum, seen)
            trials.append(Trial(candidate=candidate, hyper_parameters=assignment, error=seen, w=w))
    return tuple(trials)
