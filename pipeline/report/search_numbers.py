"""Numbers of a search as they are written."""

from __future__ import annotations

import math


def significant(value: float, digits: int = 4) -> str:
    """With so many significant digits and no exponent where it is not needed; more before the point stay."""
    if not math.isfinite(value):
        return f"{value:g}"
    if value == 0:
        return "0"
    if abs(value) >= 10 ** (digits - 1):
        return f"{value:,.0f}"
    return f"{value:#.{digits}g}".rstrip(".")


def shortened(name: str, most: int = 24) -> str:
    """A name of at most so many characters."""
    return name if len(name) <= most else f"{name[: most - 1].rstrip()}…"


def axis_ticks(low: float, high: float, is_log: bool) -> tuple[list[float], list[str]]:
    """Round values between two ends, three to seven where it can be, and as they are written."""
    if is_log:
        powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        for factors in ((1,), (1, 3), (1, 2, 5), tuple(range(1, 10))):
            values = [factor * 10.0**power for power in powers for factor in factors]
            kept = [value for value in values if low <= value <= high]
            if len(kept) >= 3:
                return kept, [counted(value) for value in kept]
    step = 10.0 ** math.floor(math.log10(high - low))
    step *= next(factor for factor in (1, 0.5, 0.2, 0.1) if (high - low) / (step * factor) >= 3)
    kept = [step * index for index in range(math.ceil(low / step), math.floor(high / step) + 1)]
    digits = max(4, math.ceil(math.log10(max(abs(low), abs(high)) / step)) + 1)  # of neighbours that differ by a step
    return kept, [counted(value, digits) for value in kept]


def counted(value: float, digits: int = 4) -> str:
    """A number with at most so many significant digits, and from ten thousand on with the letter of its power."""
    for power, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= max(power, 1e4):
            return f"{value / power:.{digits}g}{letter}"
    return f"{value:.{digits}g}"
