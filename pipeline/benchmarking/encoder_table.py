"""The tables of the benchmark `encoder`: how often one pass fits into another's, by arithmetic and as measured."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.benchmarking.results import conditions_of, notes_of
from pipeline.benchmarking.rounds import samples_text
from pipeline.console.tables import number_text, text_table

CELL = ("length", "batch", "threads")
COLUMNS = ("processor ms", "G mult/s", "MiB in memory", "MiB on disk", "load ms", "other load", "samples")


@dataclass(frozen=True, kw_only=True)
class Ratio:
    """A pass beside the same one of another shape.

    Args:
        multiplications: the other's by its own.
        measured: the other's time by its own; none where either has no times.
    """

    multiplications: float
    measured: float | None


def ratio_to(reference: str, row: dict[str, Any], record: dict[str, Any]) -> Ratio | None:
    """A contender beside a shape in fp32 in the same runtime; none where that was not measured there.

    Args:
        reference: name of the shape.
        row: the contender.
        record: its cell.
    """
    same = ("engine", "options")
    others = (other for other in record["contenders"] if other["shape"] == reference and other["is_fp32"])
    other = next((other for other in others if all(other[name] == row[name] for name in same)), None)
    if other is None:
        return None
    mine, theirs = milliseconds(row), milliseconds(other)
    return Ratio(
        multiplications=other["multiplications"] / row["multiplications"],
        measured=theirs / mine if mine and theirs else None,
    )


def milliseconds(row: dict[str, Any]) -> float | None:
    """The median of a contender's forward pass; none where no sample counts."""
    spread = row["times"]["forward_ms"]
    return float(spread["median"]) if spread else None


def processor_milliseconds(row: dict[str, Any]) -> float | None:
    """The median of the processor time of a forward pass, disturbed samples included; none without samples."""
    used = [sample["processor_ms"] for sample in row["samples"]]
    return statistics.median(used) if used else None


def cell_text(record: dict[str, Any], references: Sequence[str]) -> str:
    """One cell as people read it."""
    lines = [["", *_head(references), *COLUMNS]]
    for row in record["contenders"]:
        ms, times, resident = milliseconds(row), row["times"], row["resident_bytes"]
        numbers = [number_text(processor_milliseconds(row), ".1f")]
        numbers += [number_text(ms and row["multiplications"] / ms / 1e6, ".1f")]
        numbers += [number_text(resident and resident / 2**20, ".0f"), number_text(row["file_bytes"] / 2**20, ".1f")]
        numbers += [number_text(row["load_ms"], ".0f"), number_text(times["other_load"], ".2f"), samples_text(times)]
        lines.append([row["name"], *_beside(references, row, record), *numbers])
    about = f"{record['batch']} x {record['length']} tokens, {conditions_of(record)}"
    return "\n".join([about, text_table(lines), *notes_of(record)])


def ratio_lines(records: Sequence[dict[str, Any]], references: Sequence[str]) -> list[list[str]]:
    """How much faster than a reference every other shape is: arithmetic beside what was measured, the head first.

    Args:
        records: cells with the same contenders.
        references: names of the shapes that others are compared to.
    """
    shapes = dict.fromkeys(row["shape"] for record in records for row in record["contenders"])
    forms = dict.fromkeys(_form(row) for record in records for row in record["contenders"])
    lines = [["faster", *CELL, "arithmetic", *forms]]
    for shape, reference in ((shape, reference) for shape in shapes for reference in references if reference != shape):
        for record in records:
            rows = [row for row in record["contenders"] if row["shape"] == shape]
            ratios = {_form(row): ratio for row in rows if (ratio := ratio_to(reference, row, record))}
            arithmetic = {ratio.multiplications for ratio in ratios.values()}  # one: of shape and length alone
            lines.append([f"{shape} than {reference}", *(str(record[name]) for name in CELL)])
            lines[-1] += [number_text(next(iter(arithmetic), None), ".2f", "x")]
            lines[-1] += [number_text(ratios[form].measured if form in ratios else None, ".2f", "x") for form in forms]
    return lines


def _form(row: dict[str, Any]) -> str:
    """What a contender is called beside its shape."""
    return str(row["name"]).removeprefix(f"{row['shape']}, ")


def _head(references: Sequence[str]) -> list[str]:
    return ["ms", "p10 to p90", *(f"{name}: {which}" for name in references for which in ("arithmetic", "measured"))]


def _beside(references: Sequence[str], row: dict[str, Any], record: dict[str, Any]) -> list[str]:
    """Milliseconds with their spread, and both ratios to every reference."""
    spread = row["times"]["forward_ms"]
    cells = [number_text(milliseconds(row), ".1f"), f"{spread['p10']:.1f} to {spread['p90']:.1f}" if spread else "-"]
    for reference in references:
        ratio = ratio_to(reference, row, record)
        both = (ratio.multiplications, ratio.measured) if ratio else (None, None)
        cells += [number_text(value, ".2f", "x") for value in both]
    return cells
