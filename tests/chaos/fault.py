"""A kind of fault: what it is, how it is injected, at which moments, and what has become of the job each time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chaos.scene import Scene

SAME, REFUSED, TOLD = "same", "refused", "told"
BROKEN, ABSENT = "BROKEN", "not here"
OUTCOMES = (SAME, REFUSED, TOLD, ABSENT, BROKEN)


class BrokenError(Exception):
    """A promise that was not kept: another result, a hang, a traceback, half a thing under a final name."""


class AbsentError(Exception):
    """What the fault needs is not there on this machine."""


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A kind of fault.

    Args:
        name: for people and the command line.
        how: it is injected.
        moments: names of the moments or seeds that it is tried at, each a case.
        inject: runs a case in a scene of its own and says what became of it: `same`: in the end the results of an
            undisturbed run; `refused`: not begun, nothing changed, with a reason; `told`: ended with a truthful cause,
            and gave the results of an undisturbed run once the cause was gone.
        short: the moment that the short set tries; none: the kind is not in it.
    """

    name: str
    how: str
    moments: tuple[str, ...]
    inject: Callable[[Scene, str], str]
    short: str | None = None


@dataclass(frozen=True, kw_only=True)
class Case:
    """What became of a fault at a moment."""

    fault: str
    moment: str
    outcome: str
    detail: str = ""
    seconds: float = field(default=0.0, compare=False)


def check(is_kept: bool, promise: str, seen: object = "") -> None:
    """Hold the system to a promise.

    Raises:
        BrokenError: it was not kept.
    """
    if not is_kept:
        raise BrokenError(f"{promise}: {seen}" if seen != "" else promise)
