"""The answer of a search from what was seen: by W, or within limits by the least error; how good it can be at best."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline.config.errors import UserError
from pipeline.config.sections.search import SearchConfig
from pipeline.search.brute_force import ROUNDING
from pipeline.search.cover import Candidate, Cost, w_coefficient
from pipeline.search.fptas import Result, Trial, result_of
from pipeline.stages.search.seen import errors_of, mean_error, read_seen
from pipeline.stages.search.space import Point, TrialPlan

Rates = Mapping[float, Sequence[float]]  # learning rate -> errors of its seeds
MIB = 2**20


@dataclass(frozen=True, kw_only=True)
class Optimum:
    """The answer beside the best of everything, where everything was tried.

    Args:
        name: of the best point.
        w: its W.
        error: its error.
        w_lost: what the answer lacks of its W, as a part of it.
        error_lost: by how much the answer's error is above its error, as a part of it.
        places: how many places of the order lie between the two.
        within_bound: whether its W is at most what the guarantee allowed; none where it allowed anything, or where the
            answer was chosen by error.
    """

    name: str
    w: float
    error: float
    w_lost: float
    error_lost: float
    places: int
    within_bound: bool | None


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a search found.

    Args:
        result: trials of the cover that were trained to the end, W and its guarantee.
        ranking: names of the points that were tried, the answer first, those that diverged last.
        num_learned: how many of them did not diverge.
        optimum: the best of all, where all were tried.
    """

    result: Result[Point, float]
    ranking: tuple[str, ...]
    num_learned: int
    optimum: Optimum | None

    @property
    def best(self) -> str:
        """Name of the answer."""
        return self.ranking[0]

    def chosen(self, most: int) -> tuple[str, ...]:
        """The answer and the next best; none that diverged."""
        return self.ranking[: min(most, self.num_learned)]


def answer_of(
    search: SearchConfig,
    candidates: Sequence[Candidate[Point]],
    maximum: Cost,
    trials: Sequence[TrialPlan],
    *,
    tried: Sequence[str],
    tries_all: bool,
) -> Answer:
    """The answer from what was seen of trials.

    Args:
        search: its settings.
        candidates: the points within the limits, in order.
        maximum: the costs of T.
        trials: of all candidates.
        tried: names of the points that the search has tried to the end.
        tries_all: whether all candidates were tried besides, so that the optimum is known.

    Raises:
        UserError: nothing was tried, or all training diverged.
    """
    errors = errors_of(trials, search.steps[-1])
    by_name = {candidate.architecture.name: candidate for candidate in candidates}
    known = [name for name in tried if name in errors and name in by_name]
    if not known:
        raise UserError("a search none of whose candidates was tried", "one that was", "run the search")
    num_learned = sum(math.isfinite(_least(errors[name])) for name in known)
    if not num_learned:
        raise UserError(
            f"all {len(known)} candidates diverged",
            "one that learns",
            "lower student.learning_rate, or the rates tried",
        )
    rates = tuple(dict.fromkeys(trial.learning_rate for trial in trials))
    result = result_of(
        _trials(errors, [by_name[name] for name in known], maximum, rates),
        candidates,
        hyper_parameters=rates,
        eps=min(search.eps, len(candidates)),
        maximum=maximum,
    )
    ranking = tuple(sorted(known, key=lambda name: _standing(search, by_name[name], maximum, errors[name])))
    optimum = None
    if tries_all:
        everything = [name for name in by_name if name in errors]
        least = min(everything, key=lambda name: _standing(search, by_name[name], maximum, errors[name]))
        optimum = _beside(search, by_name[ranking[0]], by_name[least], maximum, errors, result)
    return Answer(result=result, ranking=ranking, num_learned=num_learned, optimum=optimum)


def _trials(
    errors: Mapping[str, Rates], candidates: Sequence[Candidate[Point]], maximum: Cost, rates: Sequence[float]
) -> list[Trial[Point, float]]:
    """One a point and learning rate, learning rates outside; seeds are averaged."""
    trials = []
    for rate in rates:
        for candidate in candidates:
            if (of_seeds := errors[candidate.architecture.name].get(rate)) is not None:
                error = mean_error(of_seeds)
                w = w_coefficient(candidate.cost, maximum, error)
                trials.append(Trial(candidate=candidate, hyper_parameters=rate, error=error, w=w))
    return trials


def _least(rates: Rates) -> float:
    return min(map(mean_error, rates.values()))


def _standing(
    search: SearchConfig, candidate: Candidate[Point], maximum: Cost, rates: Rates
) -> tuple[bool, float, float]:
    """The lower the better: without limits W decides, within limits the error; of equal ones the smaller.

    One that diverged comes last: its W is 0, as is that of T.
    """
    error = _least(rates)
    value = error if search.limits else -w_coefficient(candidate.cost, maximum, error)
    return math.isinf(error), value, candidate.cost.size


def _beside(
    search: SearchConfig,
    mine: Candidate[Point],
    best: Candidate[Point],
    maximum: Cost,
    errors: Mapping[str, Rates],
    result: Result[Point, float],
) -> Optimum:
    error, least = _least(errors[mine.architecture.name]), _least(errors[best.architecture.name])
    w, highest = w_coefficient(mine.cost, maximum, error), w_coefficient(best.cost, maximum, least)
    bound = result.guarantee.upper_bound
    return Optimum(
        name=best.architecture.name,
        w=highest,
        error=least,
        w_lost=1 - w / highest if highest > 0 else 0.0,
        error_lost=error / least - 1,
        places=abs(mine.rank - best.rank),
        within_bound=None if bound is None or search.limits else highest <= bound * (1 + ROUNDING),
    )


def error_curve(trials: Sequence[TrialPlan], steps: Sequence[int]) -> dict[int, float]:
    """Step -> the least mean error of one point's trials there; of the steps that anybody has looked at."""
    curve = {}
    for step in steps:
        for rates in errors_of(trials, step).values():
            curve[step] = _least(rates)
    return curve


def best_rate(trials: Sequence[TrialPlan], step: int) -> float | None:
    """The learning rate under which one point's mean error is the least; none where nobody has looked."""
    for rates in errors_of(trials, step).values():
        return min(rates, key=lambda rate: mean_error(rates[rate]))
    return None


def error_spread(trials: Sequence[TrialPlan], step: int) -> float | None:
    """The standard deviation of one point's error over seeds, under its best learning rate; none of one seed."""
    for rates in errors_of(trials, step).values():
        best = min(rates.values(), key=mean_error)
        if len(best) > 1 and math.isfinite(mean_error(best)):
            return statistics.stdev(best)
    return None


def has_diverged(trials: Sequence[TrialPlan]) -> bool:
    """Whether training of one of a point's trials ended early."""
    return any(read_seen(trial.folder).failure is not None for trial in trials)
