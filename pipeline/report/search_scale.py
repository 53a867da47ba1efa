"""Axes as numbers: where a value lies between the two ends."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

LOG_FROM = 8.0  # the largest cost over the smallest from which an axis is logarithmic


@dataclass(frozen=True, kw_only=True)
class Scale:
    """An axis: its ends, which are logarithms to the base 10 where it is logarithmic."""

    low: float
    high: float
    is_log: bool

    def place(self, value: float) -> float:
        """Where a value lies, 0 and 1 at the ends."""
        return ((math.log10(value) if self.is_log else value) - self.low) / (self.high - self.low)

    @property
    def ends(self) -> tuple[float, float]:
        """As values."""
        return (10**self.low, 10**self.high) if self.is_log else (self.low, self.high)

    def with_room_for(self, values: Sequence[float], room: float) -> Scale:
        """The scale that shows these values, too, with so much of its width beside them."""
        places, width = [self.place(value) for value in values], self.high - self.low
        low = min([0.0, *(place - room for place in places)])
        high = max([1.0, *(place + room for place in places)])
        return Scale(low=self.low + low * width, high=self.low + high * width, is_log=self.is_log)


def scale_of(values: Sequence[float], *, room: float, is_log: bool | None = None) -> Scale:
    """One that shows the values with so much room at either end; logarithmic where they are far apart, if not told."""
    low, high = min(values), max(values)
    log = low > 0 and (high > LOG_FROM * low if is_log is None else is_log)
    if log:
        low, high = math.log10(low), math.log10(high)
    width = high - low or (0.5 if log else abs(high) or 1.0)
    if high == low:
        low, high = low - width / 2, high + width / 2
    return Scale(low=low - room * width, high=high + room * width, is_log=log)
