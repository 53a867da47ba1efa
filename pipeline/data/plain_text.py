"""Plain text, as corpora for pre-training come: every line is an example."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.data.records import Row
from pipeline.data.text_files import opened_text

COLUMN = "text"


@dataclass(frozen=True, kw_only=True)
class PlainTextFile:
    """Lines under one column, `text`; blank ones, which part documents, are left out."""

    path: Path
    unit: str = "line"
    truth_values: tuple[str, str] = ("False", "True")  # never asked for: there is text alone

    @property
    def origin(self) -> str:
        """The path."""
        return str(self.path)

    def has(self, path: str) -> bool:
        """Whether it is the only column."""
        return path == COLUMN

    def columns(self) -> list[str]:
        """The only one; none of a file without a line."""
        return [COLUMN] if any(True for _ in self.rows(())) else []

    def label_names(self, path: str) -> None:
        """There are none."""

    def rows(self, wanted: Collection[str]) -> Iterator[tuple[int, Row]]:
        """Every line that is not blank with its number.

        Raises:
            UserError: no UTF-8, or a damaged file.
        """
        with opened_text(self.path) as text:
            for number, line in enumerate(text, 1):
                if line.strip():
                    yield number, {COLUMN: line.removesuffix("\n")}
