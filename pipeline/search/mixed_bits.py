"""Which module gets how many bits: the least loss within a budget of bytes, by a solver of integer programs.

One option per group of modules, bytes and losses summed: a knapsack with multiple choices. That losses add up is taken
on faith: modules were measured one at a time. Branch and bound proves the optimum (HiGHS, through scipy).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import LinearConstraint, OptimizeResult, milp

from pipeline.config.errors import UserError

CHANGE_BUDGET = "change the budget of bytes"
# The solver stops within TOLERANCE of the optimum, absolutely: losses are scaled so that this is nothing beside them.
TOLERANCE, LARGEST_COST = 1e-6, 1e6
LARGEST_SIZE = 1e9  # in doubles of which 1e-6, the solver's tolerance of the budget, is still told apart


@dataclass(frozen=True, kw_only=True)
class BitOption:
    """What a group of modules costs at a number of bits.

    Args:
        bits: of each of its weights; 32 is not quantized.
        num_bytes: of all its modules.
        loss: how much the loss rises; below 0 where it falls. One that is not finite is no option.
    """

    bits: float
    num_bytes: int
    loss: float


@dataclass(frozen=True, kw_only=True)
class BitChoice:
    """Modules that have the same bits, and which bits they may have."""

    modules: tuple[str, ...]
    options: tuple[BitOption, ...]

    @property
    def name(self) -> str:
        """The first module, for messages."""
        return self.modules[0]


@dataclass(frozen=True, kw_only=True)
class BitAssignment:
    """The answer.

    Args:
        bits: module -> bits.
        num_bytes: of all modules.
        loss: sum of the rises.
        gap: by how much an assignment that was not looked at may be better, as the solver says; 0: this is the optimum,
            to a 10^12th part of the largest difference between two options.
    """

    bits: dict[str, float]
    num_bytes: int
    loss: float
    gap: float


def best_assignment(choices: Sequence[BitChoice], budget: int, seconds: float = 60.0) -> BitAssignment:
    """The assignment with the least loss among those that take at most so many bytes.

    Args:
        choices: every group of modules once.
        budget: bytes of all modules together.
        seconds: how long the solver may look; then its best so far is the answer, with its gap.

    Raises:
        UserError: a module without an option or in two groups, a budget below the cheapest assignment, no answer in
            time.
    """
    options = [_finite(choice) for choice in choices]
    _check_modules(choices)
    if not choices:
        return BitAssignment(bits={}, num_bytes=0, loss=0.0, gap=0.0)
    least = sum(min(option.num_bytes for option in some) for some in options)
    if budget < least:
        raise UserError(
            f"a budget of {budget} bytes", f"{least} bytes or more, which the fewest bits take", CHANGE_BUDGET
        )
    chosen, gap = _solve(options, budget, seconds)
    return BitAssignment(
        bits={name: one.bits for choice, one in zip(choices, chosen, strict=True) for name in choice.modules},
        num_bytes=sum(one.num_bytes for one in chosen),
        loss=math.fsum(one.loss for one in chosen),
        gap=gap,
    )


def _finite(choice: BitChoice) -> tuple[BitOption, ...]:
    finite = tuple(option for option in choice.options if math.isfinite(option.loss))
    if not finite:
        bits = ", ".join(f"{option.bits:g}" for option in choice.options) or "none at all"
        raise UserError(
            f"{choice.name} has no number of bits with a finite loss (tried: {bits})",
            "one number of bits or more that the model bears",
            "offer more bits, 32 among them, or look at the module's weights",
        )
    return finite


def _check_modules(choices: Sequence[BitChoice]) -> None:
    names = [name for choice in choices for name in choice.modules]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UserError(f"{twice[0]} in two groups", "every module in one group", "change the groups")


def _solve(options: Sequence[tuple[BitOption, ...]], budget: int, seconds: float) -> tuple[list[BitOption], float]:
    """One option per group, and the solver's gap."""
    flat = [option for some in options for option in some]
    group = np.repeat(np.arange(len(options)), [len(some) for some in options])
    one_each = (group == np.arange(len(options))[:, None]).astype(float)
    costs, scale = _costs(options)
    sizes, room = _sizes(options, budget)
    factor = min(1.0, LARGEST_SIZE / max(1, *sizes))
    within = LinearConstraint(np.array([[size * factor for size in sizes]]), ub=room * factor)
    constraints = [LinearConstraint(one_each, 1, 1), within]
    while True:
        found = milp(
            costs,
            constraints=constraints,
            integrality=np.ones(len(flat)),
            bounds=(0, 1),
            options={"mip_rel_gap": 0.0, "time_limit": seconds},
        )
        if found.x is None:
            given = f"no assignment found in {seconds:g} s: {found.message}"
            raise UserError(given, "more time", "allow the solver more seconds")
        taken = np.round(found.x)
        if sum(size for size, is_taken in zip(sizes, taken, strict=True) if is_taken) <= room:
            chosen = [option for option, is_taken in zip(flat, taken, strict=True) if is_taken]
            return chosen, _gap(found, scale)
        # Within the solver's tolerance of the budget, but above it: look on without this one.
        constraints.append(LinearConstraint(taken[None], ub=len(options) - 1))


def _costs(options: Sequence[tuple[BitOption, ...]]) -> tuple[np.ndarray, float]:
    """Losses above the least of each group, scaled; and the factor."""
    least = [min(option.loss for option in some) for some in options]
    above = [option.loss - low for some, low in zip(options, least, strict=True) for option in some]
    scale = LARGEST_COST / largest if (largest := max(above)) > 0 else 1.0
    return np.array(above) * scale, scale


def _sizes(options: Sequence[tuple[BitOption, ...]], budget: int) -> tuple[list[int], int]:
    """Bytes above the least of each group, and how many of them there may be, in the largest common unit."""
    least = [min(option.num_bytes for option in some) for some in options]
    above = [option.num_bytes - low for some, low in zip(options, least, strict=True) for option in some]
    unit = math.gcd(*above) or 1
    return [size // unit for size in above], min((budget - sum(least)) // unit, sum(above) // unit)


def _gap(found: OptimizeResult, scale: float) -> float:
    """What the bound leaves open, in units of the loss."""
    left = float(found.fun - found.mip_dual_bound)
    return left / scale if left > TOLERANCE else 0.0
