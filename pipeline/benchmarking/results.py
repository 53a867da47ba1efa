"""What a benchmark of live workers has measured so far: one JSON line per cell."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

Cell = tuple[Any, ...]  # values of what a benchmark's cells are told apart by


def read_cells(path: Path, names: Sequence[str]) -> dict[Cell, dict[str, Any]]:
    """The cells that were measured; a line that was cut off is none, and of a cell measured twice the last counts.

    Args:
        path: the file; there need be none.
        names: what tells cells apart, e.g. depth, batch and threads.
    """
    cells: dict[Cell, dict[str, Any]] = {}
    if not path.is_file():
        return cells
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            record = json.loads(line)
        except json.JSONDecodeError:
            continue
        cells[tuple(record[name] for name in names)] = record
    return cells


def is_measured(record: dict[str, Any] | None, rounds: int) -> bool:
    """Whether enough samples of every contender of a cell count; of one that failed there are none to wait for.

    Args:
        record: the cell; none where nothing is written down.
        rounds: samples that are asked for.
    """
    return record is not None and all(
        row["error"] is not None or row["times"]["num_kept"] >= rounds for row in record["contenders"]
    )


def append_cell(path: Path, record: dict[str, Any]) -> None:
    """Add one cell; after a line that was cut off a new one begins."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab+") as file:
        if file.tell():
            file.seek(-1, 2)
            if file.read(1) != b"\n":
                file.write(b"\n")
        file.write(json.dumps(record, sort_keys=True).encode() + b"\n")


def notes_of(record: dict[str, Any]) -> list[str]:
    """Lines about contenders of a cell that have no times."""
    notes = [f"{name}: left out, {reason}" for name, reason in record["left_out"].items()]
    return notes + [f"{row['name']}: {row['error']}" for row in record["contenders"] if row["error"]]


def conditions_of(record: dict[str, Any]) -> str:
    """How many threads, and where."""
    threads = record["threads"]
    return (
        f"{threads} thread{'s' * (threads > 1)} ({record['machine']}; one core reads memory at "
        f"{record['memory_bytes_per_second'] / 1e9:.1f} GB/s; before: load average {record['load_before']:.2f})"
    )
