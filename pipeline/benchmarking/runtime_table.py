"""The table of a cell of the benchmark `runtime`."""

from __future__ import annotations

from typing import Any

from pipeline.benchmarking.results import conditions_of, notes_of
from pipeline.benchmarking.rounds import samples_text
from pipeline.console.tables import number_text, text_table

CELL = ("depth", "batch", "threads")
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


def cell_text(record: dict[str, Any]) -> str:
    """One cell as people read it."""
    contenders = record["contenders"]
    teacher = contenders[0]
    same = next((row for row in contenders if row["depth"] == record["depth"] and row["engine"] == "torch"), teacher)
    lines = [["", *COLUMNS], *(_line(row, same, teacher) for row in contenders)]
    tokens = f"{record['batch']} x {record['source_tokens']} -> {record['new_tokens']} tokens"
    about = f"{record['depth']}, {tokens}, {conditions_of(record)}"
    return "\n".join([about, text_table(lines), *notes_of(record)])


def _line(row: dict[str, Any], same: dict[str, Any], teacher: dict[str, Any]) -> list[str]:
    times, total = row["times"], row["times"]["total_ms"]
    token = times["token_ms"]
    return [
        row["name"],
        number_text(times["encode_ms"] and times["encode_ms"]["median"], ".1f"),
        number_text(token and token["median"], ".2f"),
        number_text(total and total["median"], ".0f"),
        f"{total['p10']:.0f} to {total['p90']:.0f}" if total else "-",
        number_text(ratio(same, row), ".2f", "x"),
        number_text(ratio(teacher, row), ".2f", "x"),
        number_text(row["resident_bytes"] and row["resident_bytes"] / 2**20, ".0f"),
        number_text(row["file_bytes"] / 2**20, ".1f"),
        number_text(teacher["file_bytes"] / row["file_bytes"], ".1f", "x"),
        number_text(row["load_ms"], ".0f"),
        number_text(token and token["median"] / row["floor_ms"], ".1f", "x"),
        row["floor"],
        number_text(times["other_load"], ".2f"),
        samples_text(times),
    ]


def ratio(slow: dict[str, Any], fast: dict[str, Any]) -> float | None:
    """How often the whole of one fits into that of the other; nothing where either has no times."""
    of_slow, of_fast = slow["times"]["total_ms"], fast["times"]["total_ms"]
    return of_slow["median"] / of_fast["median"] if of_slow and of_fast else None
