"""JSON and JSON lines: strings stay text, numbers and truth values stay what they are and are spelt as in the file."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.config.errors import UserError
from pipeline.data.records import Row, first_step
from pipeline.data.text_files import opened_text

BLANK = " \t\r\n"
MOST_LEVELS = 100  # of objects and lists inside each other: rows are looked through by recursion


class SpeltFloat(float):
    """A number that remembers how it was written: as a label, 1.50 stays 1.50."""

    def __init__(self, spelling: str) -> None:
        self.spelling = spelling

    def __str__(self) -> str:
        return self.spelling


@dataclass(frozen=True, kw_only=True)
class JsonFile:
    """Objects: one a line, or in any layout, in a list or not; or one object with a list, or pandas' numbered object,
    for every column.
    """

    path: Path
    has_lines: bool  # an object a line, read line by line
    unit: str = "line"
    truth_values: tuple[str, str] = ("false", "true")

    @property
    def origin(self) -> str:
        """The path."""
        return str(self.path)

    def has(self, path: str) -> bool:
        """Whether any row has it: objects need not be alike."""
        return any(_has(row, path) for _, row in self.rows(()))

    def columns(self) -> list[str]:
        """What any row has, in the order of appearance."""
        return list(dict.fromkeys(path for _, row in self.rows(()) for path in _paths(row)))

    def label_names(self, path: str) -> None:
        """There are none."""

    def rows(self, wanted: Collection[str]) -> Iterator[tuple[int, Row]]:
        """Every object with the line that it begins in.

        Raises:
            UserError: no UTF-8, no JSON, no object, a name twice in one.
        """
        values = self._lines() if self.has_lines else self._anywhere()
        for line, value in values:
            if not isinstance(value, dict):
                raise self._refused(line, f"{str(value)[:40]!r} is no object")
            yield line, value

    def _lines(self) -> Iterator[tuple[int, Any]]:
        with opened_text(self.path, newline="\n") as text:
            for number, line in enumerate(text, 1):
                if line.strip(BLANK):
                    yield number, self._value(line.strip(BLANK), 0, number)[0]

    def _anywhere(self) -> Iterator[tuple[int, Any]]:
        with opened_text(self.path, newline="\n") as file:
            text = file.read()
        place, line = _next(text, 0, 1)
        in_list = text.startswith("[", place)
        place, line = _next(text, place + 1, line) if in_list else (place, line)
        only, is_first = None, True  # an object that may hold columns instead of being a row
        while place < len(text) and not (in_list and text[place] == "]"):
            value, end = self._value(text, place, line)
            if only is not None:
                yield only
            only = (line, value) if is_first and not in_list else None
            if only is None:
                yield line, value
            is_first = False
            place, line = _next(text, end, line + text.count("\n", place, end))
            if in_list and text.startswith(",", place):
                place, line = _next(text, place + 1, line)
            elif in_list and not text.startswith("]", place):
                raise self._refused(line, "a list that does not go on with a comma or end with a bracket")
        if in_list and not text.startswith("]", place):
            raise self._refused(line, "the file ends inside the list")
        place, line = _next(text, place + 1, line) if in_list else (place, line)
        if place < len(text):
            raise self._refused(line, "more behind the list")
        if only is not None:
            yield from ((only[0], row) for row in _columns_to_rows(only[1]) or [only[1]])

    def _value(self, text: str, place: int, line: int) -> tuple[Any, int]:
        """The JSON value at a place, and where it ends; of a line, that is its end."""
        try:
            value, end = DECODER.raw_decode(text, place)
            if self.has_lines and end < len(text):
                raise json.JSONDecodeError("more than one value", text, end)
        except json.JSONDecodeError as error:
            raise self._refused(line + text.count("\n", place, error.pos), error.msg) from None
        except (ValueError, RecursionError) as error:
            raise self._refused(line, str(error)) from None
        # Counted only where there may be as many: most rows have no level but their own.
        if text.count("{", place, end) + text.count("[", place, end) > MOST_LEVELS < _num_levels(value):
            raise self._refused(line, f"more than {MOST_LEVELS} objects and lists inside each other")
        return value, end

    def _refused(self, line: int, reason: str) -> UserError:
        layout = "one JSON object a line" if self.has_lines else "JSON objects, in a list or not"
        change = "mend the line" + (", or name the file .json if objects go over lines" if self.has_lines else "")
        return UserError(f"data file {self.path}: line {line}: {reason}", layout, change)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the name '{next(name for name in names if names.count(name) > 1)}' twice in one object")
    return value


DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_float=SpeltFloat)


def _num_levels(value: Any) -> int:
    num_levels, inside = 0, [value]
    while inside := [one for one in inside if isinstance(one, (dict, list))]:
        num_levels += 1
        inside = [inner for one in inside for inner in (one.values() if isinstance(one, dict) else one)]
    return num_levels


def _next(text: str, place: int, line: int) -> tuple[int, int]:
    """Where the next thing that is no blank stands, and in which line."""
    end = place
    while end < len(text) and text[end] in BLANK:
        end += 1
    return end, line + text.count("\n", place, end)


def _columns_to_rows(value: Any) -> list[dict[str, Any]]:
    """The rows of an object that holds columns, as pandas writes them; none if it is a row itself."""
    columns = list(value.values()) if isinstance(value, dict) else []
    if columns and all(isinstance(column, list) and len(column) == len(columns[0]) for column in columns):
        return [dict(zip(value, cells, strict=True)) for cells in zip(*columns, strict=True)]
    if any(not isinstance(column, dict) or column.keys() != columns[0].keys() for column in columns):
        return []
    indices = columns[0] if columns and "0" in columns[0] else ()
    return [{name: column[index] for name, column in value.items()} for index in indices]


def _has(value: Any, path: str) -> bool:
    if isinstance(value, list):  # of records
        return any(_has(item, path) for item in value)
    if not isinstance(value, Mapping):
        return False
    step = first_step(path, value)
    return step is not None and (not step[1] or _has(value[step[0]], step[1]))


def _paths(row: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in row.items():
        inner = [item for item in (value if isinstance(value, list) else [value]) if isinstance(item, Mapping)]
        for record in inner:
            yield from _paths(record, f"{prefix}{name}.")
        if not inner:
            yield f"{prefix}{name}"
