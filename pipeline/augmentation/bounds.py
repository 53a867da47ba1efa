"""Neither too near nor too far: which generated examples are let through.

The words are those of Agora's author; which bounds are good nobody has published. `distances.quantiles` shows what
there is to be cut.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline.augmentation.distances import Distances
from pipeline.config.errors import UserError

MEASURES = ("edit", "embedding", "confidence")


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """From where to where a measure is accepted, both included.

    Raises:
        UserError: nothing lies between.
    """

    min: float = -math.inf
    max: float = math.inf

    def __post_init__(self) -> None:
        if not self.min <= self.max:
            raise UserError(f"bounds from {self.min} to {self.max}", "a lower one up to a higher one", "the bounds")

    def refusal(self, name: str, value: float | None) -> str | None:
        """Why a value of a measure is refused; none: it is accepted. What is unknown lies nowhere."""
        if value is None or math.isnan(value):
            return f"{name} unknown"
        if value < self.min:
            return f"{name} below {self.min:g}"
        return f"{name} above {self.max:g}" if value > self.max else None


@dataclass(frozen=True, kw_only=True)
class Refused:
    """An example that is not let through, and all reasons."""

    row: Distances
    reasons: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Bounded:
    """What bounds leave.

    Args:
        kept: within all of them, in the order given.
        refused: the others.
    """

    kept: tuple[Distances, ...]
    refused: tuple[Refused, ...]

    @property
    def counts(self) -> dict[str, int]:
        """How many were refused for each reason, the most frequent first; some for several."""
        return dict(Counter(reason for one in self.refused for reason in one.reasons).most_common())


def within(rows: Sequence[Distances], bounds: Mapping[str, Bounds]) -> Bounded:
    """Those that lie within all bounds.

    Args:
        rows: generated examples and their distances.
        bounds: of some of `MEASURES`, by name; the others have none.

    Raises:
        UserError: there is no such measure.
    """
    if unknown := sorted(bounds.keys() - set(MEASURES)):
        raise UserError(f"bounds of {', '.join(unknown)}", ", ".join(MEASURES), "the names of the bounds")
    kept, refused = list[Distances](), list[Refused]()
    for row in rows:
        told = [bound.refusal(name, row.measures.get(name)) for name, bound in bounds.items()]
        reasons = tuple(reason for reason in told if reason)
        if reasons:
            refused.append(Refused(row=row, reasons=reasons))
        else:
            kept.append(row)
    return Bounded(kept=tuple(kept), refused=tuple(refused))
