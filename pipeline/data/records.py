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


def value_at(row: Row, path: str) -> Any:
    """What a dotted path leads to; of a list of records, the list of what they hold there; none if nothing."""
    if path in row:
        return row[path]
    value: Any = row
    for name in path.split("."):
        items = value if isinstance(value, list) else [value]
        found = [item.get(name) if isinstance(item, Mapping) else None for item in items]
        value = found if isinstance(value, list) else found[0]
    return value


def column_of(path: str, columns: Collection[str]) -> str:
    """The column that a path starts in: dots may be part of a name."""
    return path if path in columns else path.partition(".")[0]
