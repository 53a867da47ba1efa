"""What the checks say: findings, and why nothing can be checked at all."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, order=True)
class Finding:
    """Something that is wrong.

    Args:
        source: file or folder, relative to the checkout.
        object: `Kind/name`; empty: the file as a whole.
        path: inside the object, as in `spec.containers[0].image`.
        check: name of the rule, as exceptions name it.
        problem: what is wrong, without a full stop.
        change: what to do, without a full stop.
    """

    source: str
    object: str = ""
    path: str = ""
    check: str
    problem: str
    change: str

    def __str__(self) -> str:
        where = " ".join(filter(None, (self.source, self.object, self.path)))
        return f"{where}: {self.problem}. Change: {self.change}. [{self.check}]"


class CannotRunError(Exception):
    """Nothing can be checked here: a tool or a schema is missing, or an argument is wrong. Exit code 2.

    Args:
        given: what was found.
        allowed: what is needed.
        change: how to get it.
    """

    def __init__(self, given: str, allowed: str, change: str) -> None:
        super().__init__(f"{given}. Allowed: {allowed}. Change: {change}.")
