"""The results of a sweep as a table and as a plot of quality against size."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

MIB = 2**20


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the results: a model, its scores in percent, its size."""

    name: str
    scores: dict[str, float]
    size_bytes: float | None = None
    size_ratio: float | None = None
    rule_p_ratio: float | None = None
    failure: str | None = None


SCORES = ("rouge1", "rouge2", "rougeL", "rougeLsum", "generated_words")
HEADER = ("model", "R1", "R2", "RL", "RLsum", "words", "MiB on disk", "smaller", "rule P", "note")


def table_rows(rows: Sequence[Row]) -> list[list[str]]:
    """Header and lines as text."""
    lines = [list(HEADER)]
    for row in rows:
        scores = [f"{row.scores[name]:.2f}" if name in row.scores else "-" for name in SCORES]
        size = "-" if row.size_bytes is None else f"{row.size_bytes / MIB:.3f}"
        ratios = ["-" if ratio is None else f"{ratio:.2f}x" for ratio in (row.size_ratio, row.rule_p_ratio)]
        lines.append([row.name, *scores, size, *ratios, "FAILED: " + row.failure if row.failure else ""])
    return lines


def text_table(rows: Sequence[Row]) -> str:
    """The table for a terminal."""
    lines = table_rows(rows)
    widths = [max(len(line[i]) for line in lines) for i in range(len(HEADER))]
    shown = [
        "  ".join(
            cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]
    return "\n".join([shown[0], "-" * len(shown[0]), *shown[1:]])


def markdown_table(rows: Sequence[Row]) -> str:
    """The table for a page."""
    lines = ["| " + " | ".join(line) + " |" for line in table_rows(rows)]
    lines.insert(1, "|" + "---|" * len(HEADER))
    return "\n".join(lines)


def write_report(rows: Sequence[Row], folder: Path, title: str, split: str) -> None:
    """`results.csv`, `results.md` and `quality_vs_size.png` in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = table_rows(rows)
    with (folder / "results.csv").open("w", newline="") as file:
        csv.writer(file).writerows(lines)
    (folder / "results.md").write_text(f"# {title}\n\n{markdown_table(rows)}\n")
    _plot(rows, folder / "quality_vs_size.png", title, split)


def _plot(rows: Sequence[Row], path: Path, title: str, split: str) -> None:
    """rougeLsum against bytes on disk, logarithmic, models without a size as horizontal lines."""
    from matplotlib.figure import Figure  # no pyplot: no global state, no display

    figure = Figure(figsize=(8, 5), dpi=120, layout="constrained")
    axes = figure.subplots()
    for index, row in enumerate(row for row in rows if row.failure is None):
        score = row.scores["rougeLsum"]
        if row.size_bytes is None:
            axes.axhline(score, linestyle=":", color="grey")
            axes.annotate(row.name, (0.01, score), xycoords=("axes fraction", "data"), va="bottom", color="grey")
            continue
        axes.scatter(row.size_bytes / MIB, score, s=45, color=f"C{index}", zorder=3)
        axes.annotate(row.name, (row.size_bytes / MIB, score), xytext=(6, 4), textcoords="offset points", fontsize=9)
    axes.set_xscale("log")
    axes.set_xlabel("weights on disk, MiB (log)")
    axes.set_ylabel(f"rougeLsum on the {split} split, %")
    axes.margins(x=0.25, y=0.12)
    axes.grid(alpha=0.3)
    axes.set_title(title)
    figure.savefig(path)
