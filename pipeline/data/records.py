"""A split as it was read, whatever it was read from."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Protocol

Row = Mapping[str, Any]


class Records(Protocol):
    """The rows of one split, under the data set's own column names, read anew every time they are asked for."""

    @property
    def origin(self) -> str:
        """What they were read from, for messages."""
        ...

    @property
    def unit(self) -> str:
        """What numbers of rows count: "line", as editors do, or "row"."""
        ...

    @property
    def truth_values(self) -> tuple[str, str]:
        """How false and true are written as labels."""
        ...

    def has(self, path: str) -> bool:
        """Whether there is a column, or a dotted path into one."""
        ...

    def columns(self) -> list[str]:
        """Columns, and paths into those that hold records."""
        ...

    def label_names(self, path: str) -> list[str] | None:
        """The names behind label numbers, where the data set has them."""
        ...

    def rows(self, wanted: Collection[str]) -> Iterator[tuple[int, Row]]:
        """Every row with its number, counted from 1.

        Args:
            wanted: paths that will be looked at; a row may hold more, and may lack any.

        Raises:
            UserError: something that cannot be read, with its place.
        """
        ...


def first_step(path: str, names: Collection[str]) -> tuple[str, str] | None:
    """The name that a dotted path starts with, and what is left of it; the longest, for dots may be part of a name.

    Args:
        path: of a column, or into one.
        names: those that there are; none of them: nothing is returned.
    """
    ends = [index for index, mark in enumerate(path) if mark == "."]
    for end in (len(path), *reversed(ends)):
        if path[:end] in names:
            return path[:end], path[end + 1 :]
    return None


def value_at(value: Any, path: str) -> Any:
    """What a dotted path leads to; of a list of records, the list of what they hold there; none if nothing."""
    if isinstance(value, list):
        return [value_at(item, path) for item in value]
    step = first_step(path, value) if isinstance(value, Mapping) else None
    if step is None:
        return None
    name, rest = step
    return value_at(value[name], rest) if rest else value[name]
