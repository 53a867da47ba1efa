"""Where two JSON documents differ, and whether what stands there now could stand there as well."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

Path = tuple[Any, ...]


class _Absent:
    """Where there was nothing, or is nothing now."""

    def __repr__(self) -> str:
        return "nothing"


ABSENT = _Absent()


@dataclass(frozen=True, kw_only=True)
class Difference:
    """The one place in which two documents differ: what stood and what stands there, either may be `ABSENT`."""

    path: Path
    before: Any
    after: Any


def difference(before: Any, after: Any, path: Path = ()) -> Difference | None:
    """Where two documents differ; none where that is nowhere, or in several places of one list or object."""
    keys: list[Any] = []
    if isinstance(before, dict) and isinstance(after, dict):
        keys = list(before | after)
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        keys = list(range(len(before)))
    if not keys:
        return None if _alike(before, after) else Difference(path=path, before=before, after=after)
    pairs = {key: (_item(before, key), _item(after, key)) for key in keys}
    others = {key: pair for key, pair in pairs.items() if not _alike(*pair)}
    if len(others) == 1:
        [(key, (one, other))] = others.items()
        return difference(one, other, (*path, key))
    return Difference(path=path, before=before, after=after) if others else None


def _item(holder: Any, key: Any) -> Any:
    return holder.get(key, ABSENT) if isinstance(holder, dict) else holder[key]


def _alike(one: Any, other: Any) -> bool:
    return type(one) is type(other) and bool(one == other)


def plausible(before: Any, after: Any) -> bool:
    """Whether a value could stand where another stands, as far as types and sizes say."""
    if type(before) is not type(after):
        return False
    if isinstance(after, int):
        return 0 <= after <= 1 << 16
    if isinstance(after, float):
        return math.isfinite(after) and abs(after) < 1e6
    if isinstance(after, str):
        return after.isprintable()
    if isinstance(before, list) and before and isinstance(after, list):
        return all(plausible(before[0], item) for item in after)
    return False
