"""Reads tables: those that a search of this project writes, and the 500 encoders of nas_bench_bert."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pipeline.config.errors import UserError
from pipeline.search.nas_bench_bert import GLUE_TASKS, encoder_row, is_encoder_row
from pipeline.search.table import OPTIMISER_STEPS, SearchTable, TableRow, tables_of
from pipeline.search.table_path import check_is_table

FIELDS = {"name": str, "seed": int, "costs": dict, "errors": dict, "final": str}


def read_tables(path: Path) -> tuple[SearchTable, ...]:
    """The tables of a JSONL file, one per training seed.

    Raises:
        UserError: a file that is not there, a line that is no row, rows that do not go together.
    """
    check_is_table(path)
    records = []
    for number, line in enumerate(_text(path).split("\n"), 1):
        if line.strip():
            records.append((f"{path}, line {number}", _record(f"{path}, line {number}", line)))
    is_bench = bool(records) and is_encoder_row(records[0][1])
    read: Callable[[str, Mapping[str, Any]], TableRow] = encoder_row if is_bench else row_of
    rows = [read(place, record) for place, record in records]
    return tables_of(rows, GLUE_TASKS if is_bench else OPTIMISER_STEPS)


def row_of(place: str, record: Mapping[str, Any]) -> TableRow:
    """A row as `TableRow.as_json` writes it.

    Args:
        place: file and line, for messages.
        record: the line.

    Raises:
        UserError: a field that is missing or of another kind, numbers that cannot be.
    """
    for name, kind in FIELDS.items():
        if name not in record:
            raise _wrong(place, f"no field '{name}'")
        if not isinstance(record[name], kind) or isinstance(record[name], bool):
            raise _wrong(place, f"{name} = {record[name]!r}")
    errors = {group: _errors(place, group, errors) for group, errors in record["errors"].items()}
    scores = record.get("scores", {})
    if not isinstance(scores, dict):
        raise _wrong(place, f"scores = {scores!r}")
    try:
        return TableRow(
            name=record["name"],
            seed=record["seed"],
            costs=record["costs"],
            scores=scores,
            errors=errors,
            final=record["final"],
        )
    except UserError as error:
        raise UserError(f"{place}: {error.given}", error.allowed, error.change) from None


def _errors(place: str, group: str, errors: Any) -> dict[int, Any]:
    if not isinstance(errors, dict) or not all(str(steps).isdecimal() for steps in errors):
        raise _wrong(place, f"errors of '{group}' = {errors!r}")
    return {int(steps): math.inf if error is None else error for steps, error in errors.items()}


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise _wrong(str(path), f"no text in UTF-8 ({error.reason} at byte {error.start})") from None


def _record(place: str, line: str) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except ValueError as error:
        raise _wrong(place, f"no JSON ({error})") from None
    if not isinstance(record, dict):
        raise _wrong(place, "no object")
    return record


def _wrong(place: str, given: str) -> UserError:
    allowed = (
        '{"name": text, "seed": number, "costs": {name: number}, "errors": {group: {steps: error}}, "final": group}'
    )
    return UserError(f"{place}: {given}", allowed, "mend the table")
