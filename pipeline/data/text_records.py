"""Text files by their names."""

from __future__ import annotations

from pathlib import Path

from pipeline.data.delimited import DelimitedFile
from pipeline.data.json_file import JsonFile
from pipeline.data.plain_text import PlainTextFile
from pipeline.data.records import Records
from pipeline.data.split_paths import TEXT_FILES, text_suffix


def text_records(path: Path) -> Records | None:
    """The rows of a text file, read as its name says; none of another."""
    suffix = text_suffix(path)
    if not path.is_file() or suffix not in TEXT_FILES:
        return None
    if suffix == ".txt":
        return PlainTextFile(path=path)
    if suffix in (".jsonl", ".json"):
        return JsonFile(path=path, has_lines=suffix == ".jsonl")
    return DelimitedFile(path=path, has_quotes=suffix == ".csv")
