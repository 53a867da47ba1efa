"""How good an answer is, in words and numbers: what the theorem promises and which of its assumptions hold here.

Published (arXiv 2010.08512, abstract): within |1 - ε| of the optimum for networks with the AB^nC property, an FPTAS
where the objective is strongly convex besides. W is never negative, so no answer can be further away than 1: from
ε = 2 on the published bound excludes nothing. The upper bound beside it is ours and uses one assumption alone, that
errors rise along the order by no larger factor than those rise that were tried; the theorem has them not rise at all.
What a candidate saves is known exactly, trained or not.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from pipeline.config.errors import UserError
from pipeline.search.cover import Candidate, Cost, eps_cover, saving, w_coefficient


class Standing(StrEnum):
    """What is known of an assumption."""

    HOLDS = "holds"
    PARTLY = "checked in part"
    FAILS = "does not hold"
    FAITH = "on faith"


@dataclass(frozen=True, kw_only=True)
class Assumption:
    """One assumption of the theorem.

    Args:
        name: what is assumed.
        standing: what is known of it here.
        evidence: what was seen, or why nothing can be.
    """

    name: str
    standing: Standing
    evidence: str


@dataclass(frozen=True, kw_only=True)
class Guarantee:
    """What may be said of an answer.

    Args:
        eps: the interval.
        published_bound: |1 - ε|, the part of the optimum's W that may be missing.
        best_w: the highest W of those that were tried; of the answer, unless that was chosen by something else.
        rise: the largest factor by which a tried error is above one before it in the order; 1 where none is.
        upper_bound: what no candidate's W exceeds if no error rises by a larger factor; none where nothing is known of
            the candidates behind the last tried one, or where training diverged behind one that did not.
        assumptions: those of AB^nC and of the bound.
    """

    eps: int
    published_bound: float
    best_w: float
    rise: float
    upper_bound: float | None
    assumptions: tuple[Assumption, ...]

    @property
    def at_most_lost(self) -> float | None:
        """The part of the optimum's W that may be missing by the upper bound; none without one."""
        if self.upper_bound is None:
            return None
        return 1 - self.best_w / self.upper_bound if self.upper_bound > 0 else 0.0

    @property
    def words(self) -> str:
        """The guarantee for people, a line a statement."""
        lines = [f"published bound: at most {self.published_bound:g} times the optimum's W is missing"]
        lines[0] += ": the cover is all candidates" if self.eps == 1 else "; W is never negative: this excludes nothing"
        if self.upper_bound is None:
            lines.append("upper bound: none, as too little is known of the errors of candidates that were not tried")
        else:
            lines.append(
                f"upper bound: no candidate has W above {self.upper_bound:.6g}, the best that was tried has "
                f"{self.best_w:.6g}: at most {self.at_most_lost:.1%} is missing, if no error rises along the order by "
                f"more than a factor of {self.rise:.3g}, the largest that was seen"
            )
        return "\n".join([*lines, *(f"{one.name}: {one.standing} ({one.evidence})" for one in self.assumptions)])


def guarantee_of(
    candidates: Sequence[Candidate[Any]],
    maximum: Cost,
    *,
    eps: int,
    errors: Mapping[int, float],
    least_error: float = 0.0,
) -> Guarantee:
    """The guarantee of a finished search.

    Args:
        candidates: all of them, in order.
        maximum: the costs of T.
        eps: the interval.
        errors: rank of each candidate that was tried to the end -> its least error over the hyper-parameters.
        least_error: an error below which no candidate can come; 0: none is known.

    Raises:
        UserError: a least error above one that was seen.
    """
    if least_error > min(errors.values()):
        given = f"a least error of {least_error:g} beside a candidate with {min(errors.values()):g}"
        raise UserError(given, "an error that no candidate falls below", "change the least error, or hand in none")
    tried = [errors[candidate.rank] for candidate in candidates if candidate.rank in errors]
    rise = largest_rise(tried)
    return Guarantee(
        eps=eps,
        published_bound=float(abs(1 - eps)),
        best_w=max(w_coefficient(candidates[rank].cost, maximum, error) for rank, error in errors.items()),
        rise=rise,
        upper_bound=_upper_bound(candidates, maximum, errors=errors, rise=rise, least_error=least_error),
        assumptions=(
            _ends_cost_less(candidates),
            _one_order(candidates),
            _errors_fall(tried, len(candidates)),
            _cover_is_tried(eps_cover(candidates, eps), errors),
            Assumption(
                name="the objective is smooth, its gradients bounded, its weights compact",
                standing=Standing.FAITH,
                evidence="nothing here clips weights or measures a Lipschitz constant",
            ),
            Assumption(
                name="training is by plain SGD",
                standing=Standing.FAITH,
                evidence="errors are handed in; whoever trains says how",
            ),
            Assumption(
                name="the objective is strongly convex, which the name FPTAS needs",
                standing=Standing.FAILS,
                evidence="no network with a hidden layer is convex in its weights",
            ),
        ),
    )


def num_inversions(values: Sequence[float]) -> int:
    """Pairs of which the earlier is the larger."""
    row = np.asarray(values)
    return int(sum(np.count_nonzero(row[:index] > row[index]) for index in range(1, len(row))))


def largest_rise(errors: Sequence[float]) -> float:
    """The largest factor by which an error is above an earlier one, at least 1."""
    rise, least = 1.0, math.inf
    for error in errors:
        if error > least:
            rise = max(rise, error / least)
        least = min(least, error)
    return rise


def _upper_bound(
    candidates: Sequence[Candidate[Any]],
    maximum: Cost,
    *,
    errors: Mapping[int, float],
    rise: float,
    least_error: float,
) -> float | None:
    """The largest W that any candidate may have; none where that is without limit."""
    bound, largest_behind = 0.0, 0.0
    for candidate in reversed(candidates):
        error = errors.get(candidate.rank)
        if error is None:
            error = max(least_error, largest_behind / rise if math.isfinite(rise) else 0.0)
        else:
            largest_behind = max(largest_behind, error)
        saved = saving(candidate.cost, maximum)
        if saved > 0:
            bound = max(bound, saved / error if error > 0 else math.inf)
    return bound if math.isfinite(bound) else None


def _ends_cost_less(candidates: Sequence[Candidate[Any]]) -> Assumption:
    """Published asymptotically, of each single block; a finite space allows to ask for their sum alone."""
    name = "the input and output layers cost less than the blocks"
    costs = [candidate.cost for candidate in candidates]
    sizes = [cost.end_size / cost.size for cost in costs if cost.end_size is not None]
    inferences = [cost.end_inference / cost.inference for cost in costs if cost.end_inference is not None]
    if len(sizes) < len(costs) or len(inferences) < len(costs):
        return Assumption(name=name, standing=Standing.FAITH, evidence="the costs are not taken apart")
    num_dear = sum(max(pair) >= 0.5 for pair in zip(sizes, inferences, strict=True))
    evidence = (
        f"they have up to {max(sizes):.1%} of the size and {max(inferences):.1%} of the inference; half or more of "
        f"either at {num_dear} of {len(costs)} candidates"
    )
    return Assumption(name=name, standing=Standing.FAILS if num_dear else Standing.HOLDS, evidence=evidence)


def _one_order(candidates: Sequence[Candidate[Any]]) -> Assumption:
    num_discordant = num_inversions([candidate.cost.inference for candidate in candidates])
    num_pairs = math.comb(len(candidates), 2)
    return Assumption(
        name="size and inference have one order",
        standing=Standing.FAILS if num_discordant else Standing.HOLDS,
        evidence=f"{num_discordant:,} of {num_pairs:,} pairs are the other way round",
    )


def _errors_fall(tried: Sequence[float], num_candidates: int) -> Assumption:
    num_rises, num_tried = sum(later > earlier for earlier, later in itertools.pairwise(tried)), len(tried)
    standing = Standing.FAILS if num_rises else Standing.HOLDS if num_tried == num_candidates else Standing.PARTLY
    evidence = f"{num_rises} of {max(0, num_tried - 1)} steps between neighbours that were tried rise"
    untried = num_candidates - num_tried
    return Assumption(
        name="errors do not rise along the order",
        standing=standing,
        evidence=evidence + (f"; {untried} candidates were not tried" if untried else ""),
    )


def _cover_is_tried(cover: Sequence[Candidate[Any]], errors: Mapping[int, float]) -> Assumption:
    """The theorem is about a search that gives nothing up."""
    num_tried = sum(candidate.rank in errors for candidate in cover)
    return Assumption(
        name="every candidate of the cover is tried to the end",
        standing=Standing.HOLDS if num_tried == len(cover) else Standing.FAILS,
        evidence=f"{num_tried} of {len(cover)} were",
    )
