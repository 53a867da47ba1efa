"""What the benchmark `runtime` has measured so far: one JSON line per cell, and the tables of cells."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pipeline.console.tables import text_table

Cell = tuple[str, int, int]  # depth, batch, threads
COLUMNS: tuple[str, ...] = (
    "encoder ms",
    "ms per token",
    "total ms",
    "p10 to p90",
    "faster",
    "than teacher",
    "MiB in memory",
)
COLUMNS += ("MiB on disk", "smaller", "load ms", "of the floor", "read from", "other load", "samples")


def read_cells(path: Path) -> dict[Cell, dict[str, Any]]:
    """The cells that were measured; a line that was cut off is none, and of a cell measured twice the last counts."""
    cells: dict[Cell, dict[str, Any]] = {}
    if not path.is_file():
        return cells
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            record = json.loads(line)
        except json.JSONDecodeError:
            continue
        cells[record["depth"], record["batch"], record["threads"]] = record
    return cells


def append_cell(path: Path, record: dict[str, Any]) -> None:
    """Add one cell; after a line that was cut off a new one begins."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab+") as file:
        if file.tell():
            file.seek(-1, 2)
            if file.read(1) != b"\n":
                file.write(b"\n")
        file.write(json.dumps(record, sort_keys=True).encode() + b"\n")


def cell_text(record: dict[str, Any]) -> str:
    """One cell as people read it."""
    contenders = record["contenders"]
    teacher = contenders[0]
    same = next((row for row in contenders if row["depth"] == record["depth"] and row["engine"] == "torch"), teacher)
    lines = [["", *COLUMNS], *(_line(row, same, teacher) for row in contenders)]
    notes = [f"{name}: left out, {reason}" for name, reason in record["left_out"].items()]
    notes += [f"{row['name']}: {row['error']}" for row in contenders if row["error"]]
    load = record["load_before"]
    return "\n".join(
        [
            f"{record['depth']}, {record['batch']} x {record['source_tokens']} -> {record['new_tokens']} tokens, "
            f"{record['threads']} thread{'s' * (record['threads'] > 1)} ({record['machine']}; one core reads memory at "
            f"{record['memory_bytes_per_second'] / 1e9:.1f} GB/s; before: load average {load:.2f})",
            text_table(lines),
            *notes,
        ]
    )


def _line(row: dict[str, Any], same: dict[str, Any], teacher: dict[str, Any]) -> list[str]:
    times, total = row["times"], row["times"]["total_ms"]
    token = times["token_ms"]
    samples = f"{times['num_kept']}" + (f" of {n + times['num_kept']}" if (n := times["num_dropped"]) else "")
    return [
        row["name"],
        _number(times["encode_ms"] and times["encode_ms"]["median"], ".1f"),
        _number(token and token["median"], ".2f"),
        _number(total and total["median"], ".0f"),
        f"{total['p10']:.0f} to {total['p90']:.0f}" if total else "-",
        _number(ratio(same, row), ".2f", "x"),
        _number(ratio(teacher, row), ".2f", "x"),
        _number(row["resident_bytes"] and row["resident_bytes"] / 2**20, ".0f"),
        _number(row["file_bytes"] / 2**20, ".1f"),
        _number(teacher["file_bytes"] / row["file_bytes"], ".1f", "x"),
        _number(row["load_ms"], ".0f"),
        _number(token and token["median"] / row["floor_ms"], ".1f", "x"),
        row["floor"],
        _number(times["other_load"], ".2f"),
        samples,
    ]


def ratio(slow: dict[str, Any], fast: dict[str, Any]) -> float | None:
    """How often the whole of one fits into that of the other; nothing where either has no times."""
    of_slow, of_fast = slow["times"]["total_ms"], fast["times"]["total_ms"]
    return of_slow["median"] / of_fast["median"] if of_slow and of_fast else None


def _number(value: float | None, form: str, unit: str = "") -> str:
    return "-" if value is None else f"{value:{form}}{unit}"
