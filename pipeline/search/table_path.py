"""Whether there is a table, known without numpy."""

from __future__ import annotations

from pathlib import Path

from pipeline.config.errors import UserError


def check_is_table(path: Path) -> None:
    """Refuse what is no file; an empty path is no table.

    Raises:
        UserError: as said.
    """
    if not path.is_file():
        what = f"the table '{path}' {'is a folder' if path.is_dir() else 'is not there'}"
        raise UserError(
            "no table" if path == Path() else what, "a JSONL file, a row a candidate", "set benchmark.search.table"
        )
