"""Columns of a table of models or candidates: a number to sort by, how it is written, what it means."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar("Item")


@dataclass(frozen=True, kw_only=True)
class Column(Generic[Item]):
    """A column: its number, how it is written, what it means."""

    title: str
    meaning: str
    value: Callable[[Item], float | None]
    text: Callable[[Item], str]


@dataclass(frozen=True, kw_only=True)
class Cell:
    """What a cell of the table shows, and the number it is sorted by."""

    text: str
    number: float | None = None


def number_column(title: str, meaning: str, value: Callable[[Item], float | None], form: str) -> Column[Item]:
    """A column whose text is its number in a format."""

    def text(item: Item) -> str:
        number = value(item)
        return "-" if number is None else form.format(number)

    return Column(title=title, meaning=meaning, value=value, text=text)


def cells(item: Item, shown: Sequence[Column[Item]]) -> list[Cell]:
    """The cells of a line."""
    return [Cell(text=column.text(item), number=column.value(item)) for column in shown]
