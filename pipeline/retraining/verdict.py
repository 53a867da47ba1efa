"""What gates say: each one by itself, and all together."""

from __future__ import annotations

import math
from dataclasses import dataclass

from pipeline.retraining.decisions import Decision

MAX_DECIMALS = 12
ROUNDING = 1e-9  # 0.31 - 0.3 is more than 0.01 in 64 bits


@dataclass(frozen=True, kw_only=True)
class Gate:
    """One gate.

    Args:
        name: of the gate; names are stable.
        passed: whether the candidate may go on.
        measured: what was found; none: no finite number, or nothing to measure.
        allowed: the bound that it is held to, itself allowed; none where nothing is measured.
        sentence: what was measured and what is allowed.
    """

    name: str
    passed: bool
    measured: float | str | None
    allowed: float | str | None
    sentence: str


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What becomes of a candidate, and why.

    Args:
        decision: PROMOTED, KEPT or ANOMALOUS.
        gates: all of them, always in the same order; where both sides cannot be compared those that say so alone.
        alarms: what a person should know and what decides nothing, a sentence each.
    """

    decision: Decision
    gates: tuple[Gate, ...]
    alarms: tuple[str, ...]

    @property
    def reasons(self) -> tuple[str, ...]:
        """The sentences of the gates that did not pass."""
        return tuple(gate.sentence for gate in self.gates if not gate.passed)


def at_most(name: str, what: str, measured: float | None, allowed: float | None, unit: str = "") -> Gate:
    """A gate that a number passes up to its bound; nothing that is no finite number passes.

    Args:
        name: of the gate.
        what: the beginning of the sentence.
        measured: the number; none: it could not be measured.
        allowed: the bound.
        unit: behind both numbers.
    """
    return _bounded(name, what, measured, allowed, unit, is_least=False)


def at_least(name: str, what: str, measured: float | None, allowed: float | None, unit: str = "") -> Gate:
    """A gate that a number passes from its bound on; nothing that is no finite number passes."""
    return _bounded(name, what, measured, allowed, unit, is_least=True)


def same(name: str, what: str, candidate: str, champion: str) -> Gate:
    """A gate that passes where both sides have the same."""
    passed = candidate == champion
    said = f"the same: {champion}" if passed else f"{candidate} of the candidate and {champion} of the champion"
    return Gate(name=name, passed=passed, measured=candidate, allowed=champion, sentence=f"{what}: {said}.")


def not_asked(name: str, why: str) -> Gate:
    """A gate that this kind of model does not have."""
    return Gate(name=name, passed=True, measured=None, allowed=None, sentence=f"Not asked: {why}.")


def _bounded(name: str, what: str, measured: float | None, allowed: float | None, unit: str, *, is_least: bool) -> Gate:
    value, bound = _finite(measured), _finite(allowed)
    passed = (
        value is not None
        and bound is not None
        and (value >= bound - ROUNDING if is_least else value <= bound + ROUNDING)
    )
    limit = f"{'at least' if is_least else 'at most'} {_said(bound, unit)}"
    sentence = f"{what}: {_said(value, unit, bound)}; allowed: {limit}."
    return Gate(name=name, passed=passed, measured=value, allowed=bound, sentence=sentence)


def _finite(value: float | None) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None


def _said(value: float | None, unit: str, bound: float | None = None) -> str:
    """A number as people read it: three digits that count, and as many more as tell it from its bound."""
    if value is None:
        return "no finite number"
    leading = math.floor(math.log10(abs(value))) if value else 0
    num_decimals = max(2, 2 - leading)
    text = _shortened(value, num_decimals)
    while bound is not None and num_decimals < MAX_DECIMALS and _side(float(text), bound) != _side(value, bound):
        num_decimals += 1
        text = _shortened(value, num_decimals)
    return f"{text}{unit}"


def _shortened(value: float, num_decimals: int) -> str:
    text = f"{value:.{num_decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _side(value: float, bound: float) -> int:
    return (value > bound) - (value < bound)
