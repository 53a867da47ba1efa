"""Costs of candidates, their order, the maximum point T, an ε-cover and the W-coefficient.

Published: W (the white paper on QOSE, equation 1), T as the most costly candidate (its definition 8), the order by
parameters and every ε-th of it (there, and in the author's post "Bort: Algorithms and Applications"; arXiv 2010.08512
is the source of them all). Decided here, because nothing that we could read prints it: ties go by the second cost and
then as the space lists them; the cover begins with the cheapest candidate; T's two costs may come from two candidates.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from pipeline.config.errors import UserError

Architecture = TypeVar("Architecture")


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What a candidate costs, known without training it.

    Args:
        size: p, in parameters or in bytes.
        inference: i, in operations or in milliseconds.
        end_size: the part of the size that the input and output layers A and C have; none where it is not known.
        end_inference: the same of the inference.
    """

    size: float
    inference: float
    end_size: float | None = None
    end_inference: float | None = None


@dataclass(frozen=True, kw_only=True)
class Candidate(Generic[Architecture]):
    """An architecture with its costs.

    Args:
        architecture: whatever the caller trains.
        cost: what it costs.
        rank: its place in the order of all candidates, from 0.
    """

    architecture: Architecture
    cost: Cost
    rank: int


def ordered(
    architectures: Sequence[Architecture], cost: Callable[[Architecture], Cost]
) -> tuple[Candidate[Architecture], ...]:
    """All candidates, cheapest first: by size, ties by inference.

    Raises:
        UserError: no candidate at all, or a cost that is no positive number.
    """
    if not architectures:
        raise UserError("an empty space", "at least one architecture", "change the space that is searched")
    costs = [cost(architecture) for architecture in architectures]
    for architecture, one in zip(architectures, costs, strict=True):
        if not all(math.isfinite(value) and value > 0 for value in (one.size, one.inference)):
            given = f"{architecture} with size {one.size:g} and inference {one.inference:g}"
            raise UserError(given, "costs above 0", "change how costs are measured")
    order = sorted(range(len(costs)), key=lambda index: (costs[index].size, costs[index].inference))
    return tuple(
        Candidate(architecture=architectures[index], cost=costs[index], rank=rank) for rank, index in enumerate(order)
    )


def maximum_point(candidates: Sequence[Candidate[Architecture]]) -> Cost:
    """The costs of T: the largest size and the largest inference among the candidates."""
    return Cost(
        size=max(candidate.cost.size for candidate in candidates),
        inference=max(candidate.cost.inference for candidate in candidates),
    )


def eps_cover(candidates: Sequence[Candidate[Architecture]], eps: int) -> tuple[Candidate[Architecture], ...]:
    """Every ε-th candidate of the order, ⌈|Ξ| / ε⌉ of them; every candidate is less than ε places behind one.

    Raises:
        UserError: an interval below 1 or above the number of candidates.
    """
    if not 1 <= eps <= len(candidates):
        raise UserError(
            f"eps = {eps} for {len(candidates)} candidates",
            f"1 (every candidate is tried) to {len(candidates)} (the cheapest alone is tried)",
            "change eps",
        )
    return tuple(candidates[::eps])


def saving(cost: Cost, maximum: Cost) -> float:
    """What an architecture saves against T, the part of W that needs no training: 1 at no cost, 0 at T's.

    Raises:
        UserError: it costs more than T in one of the two.
    """
    if cost.size > maximum.size or cost.inference > maximum.inference:
        raise UserError(
            f"a candidate of size {cost.size:g} and inference {cost.inference:g} under a maximum point of "
            f"{maximum.size:g} and {maximum.inference:g}",
            "a maximum point that no candidate exceeds",
            "take a larger maximum point, or none for the space's own",
        )
    return (maximum.size - cost.size) / maximum.size * ((maximum.inference - cost.inference) / maximum.inference)


def w_coefficient(cost: Cost, maximum: Cost, error: float) -> float:
    """W(f, T) = (p(T) - p(f)) / p(T) * (i(T) - i(f)) / i(T) / e(f); more is better. 0 where training diverged.

    The code of QOSE adds 1e-7 to the error; the equation does not, and neither does this.

    Args:
        cost: of the architecture.
        maximum: of T.
        error: its loss or error; infinite where training diverged.

    Raises:
        UserError: an error that is not above 0, or costs above T's.
    """
    if math.isnan(error) or error <= 0:
        raise UserError(f"an error of {error:g}", "errors above 0", "hand in a loss, or infinity where there is none")
    return saving(cost, maximum) / error
