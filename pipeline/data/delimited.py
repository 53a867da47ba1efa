"""CSV and TSV: every cell is text as it stands in the file, an empty one is missing."""

from __future__ import annotations

import csv
import re
import sys
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, TextIO

from pipeline.config.errors import UserError
from pipeline.data.records import Row
from pipeline.data.text_files import opened_text

DELIMITERS = (",", ";", "\t", "|")
QUOTED_NAMES = re.compile(r'"[^"]*"(\t"[^"]*")*\s*')


@dataclass(frozen=True, kw_only=True)
class DelimitedFile:
    """Rows of cells under a first line that names the columns.

    Of `.csv` that line also says what parts cells: a comma, semicolon, tab or |, the most frequent of them outside
    quotes; with a space where one follows each. Quotes hold cells together. In `.tsv`, as GLUE has it, a quote is a
    character like any other, unless all names in the first line stand in quotes.
    """

    path: Path
    has_quotes: bool
    unit: str = "line"
    truth_values: tuple[str, str] = ("False", "True")  # never asked for: there is text alone

    @property
    def origin(self) -> str:
        """The path."""
        return str(self.path)

    def has(self, path: str) -> bool:
        """Whether the first line names it."""
        return path in self.columns()

    def columns(self) -> list[str]:
        """The names in the first line."""
        with opened_text(self.path, newline="") as text:
            return [name for name in next(self._records(text), (1, []))[1] if name]

    def label_names(self, path: str) -> None:
        """There are none."""

    def rows(self, wanted: Collection[str]) -> Iterator[tuple[int, Row]]:
        """Every row with the line that it begins in.

        Raises:
            UserError: no UTF-8, a row of more or fewer cells than there are columns, quotes that do not match, two
                columns of one name.
        """
        with opened_text(self.path, newline="") as text:
            records = self._records(text)
            names = next(records, (1, []))[1]
            if twice := [name for name in names if name and names.count(name) > 1]:
                raise UserError(
                    f"data file {self.path} names two columns '{twice[0]}'", "every name once", "rename one of them"
                )
            for line, cells in records:
                if len(cells) != len(names):
                    known = f"{len(names)} ({', '.join(names)})"
                    raise self._refused(f"line {line} has {_counted(len(cells))}, the first line names {known}")
                yield line, {name: cell or None for name, cell in zip(names, cells, strict=True)}

    def _records(self, text: TextIO) -> Iterator[tuple[int, list[str]]]:
        """Every record that is not blank with the line that it begins in."""
        csv.field_size_limit(sys.maxsize)  # a text may be long
        blank = []
        while (first := text.readline()) and not first.strip():
            blank.append(first)
        reader = csv.reader(chain(blank, [first], text), strict=True, **self._dialect(first))
        line = 1
        try:
            for cells in reader:
                if cells:
                    yield line, cells
                line = reader.line_num + 1
        except csv.Error as error:
            raise self._refused(f"line {line}: {error}") from None

    def _dialect(self, first: str) -> dict[str, Any]:
        outside = re.sub('"[^"]*"', "", first)
        mark = max(DELIMITERS, key=outside.count)  # the first of equally frequent ones
        if self.has_quotes:
            has_spaces = mark in outside and not re.search(f"{re.escape(mark)}(?! )", outside)
            return {"delimiter": mark, "skipinitialspace": has_spaces}
        if "\t" not in first and mark in first:
            raise UserError(
                f"data file {self.path}: the first line has no tab, but '{mark}'",
                "tabs between the cells of .tsv",
                "name the file .csv",
            )
        return {"delimiter": "\t", "quoting": csv.QUOTE_MINIMAL if QUOTED_NAMES.fullmatch(first) else csv.QUOTE_NONE}

    def _refused(self, reason: str) -> UserError:
        change = (
            "put a cell that holds a delimiter, a quote or a line break into quotes, its own quotes doubled"
            if self.has_quotes
            else "write texts with tabs or line breaks as .csv, where cells can stand in quotes, or as .jsonl"
        )
        return UserError(f"data file {self.path}: {reason}", "a cell for every column in every row", change)


def _counted(num_cells: int) -> str:
    return "1 cell" if num_cells == 1 else f"{num_cells} cells"
