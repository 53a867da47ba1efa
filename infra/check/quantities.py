"""Quantities of Kubernetes, `500m` or `2Gi`, as numbers."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any

_SUFFIXES = {"n": -3, "u": -2, "m": -1, "": 0, "k": 1, "M": 2, "G": 3, "T": 4, "P": 5, "E": 6}
_BINARY = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}
_FORM = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))(?:[eE]([+-]?\d+)|([KMGTPE]i|[numkMGTPE]))?")


def quantity(value: Any) -> Fraction | None:
    """Its number (cores, bytes, pieces); None: it is no quantity."""
    found = None if isinstance(value, bool) else _FORM.fullmatch(str(value))
    if found is None:
        return None
    number, exponent, suffix = Fraction(found[1]), found[2], found[3] or ""
    if exponent:
        return number * Fraction(10) ** int(exponent)
    if suffix in _BINARY:
        return number * Fraction(1024) ** _BINARY[suffix]
    return number * Fraction(1000) ** _SUFFIXES[suffix]
