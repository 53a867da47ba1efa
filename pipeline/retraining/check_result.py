"""What a check of data found: a number beside its bound, and a sentence for people."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class CheckResult:
    """What a check found.

    Args:
        name: of the check, as `lengths of sources`.
        passed: whether the data may be used, as far as this check can tell.
        measured: the number that was compared; none: nothing could be measured, the sentence says why.
        allowed: the bound that it was compared with.
        sentence: what was found, in words.
    """

    name: str
    passed: bool
    measured: float | None
    allowed: float | None
    sentence: str


def at_most(name: str, measured: float, allowed: float, sentence: str) -> CheckResult:
    """A check that passes up to a bound, itself allowed; NaN does not pass."""
    return CheckResult(name=name, passed=measured <= allowed, measured=measured, allowed=allowed, sentence=sentence)


def at_least(name: str, measured: float, allowed: float, sentence: str) -> CheckResult:
    """A check that passes from a bound on, itself allowed; NaN does not pass."""
    return CheckResult(name=name, passed=measured >= allowed, measured=measured, allowed=allowed, sentence=sentence)


def undecided(name: str, sentence: str) -> CheckResult:
    """A check that cannot tell: it refuses nothing.

    Args:
        name: of the check.
        sentence: why it cannot.
    """
    return CheckResult(name=name, passed=True, measured=None, allowed=None, sentence=sentence)
