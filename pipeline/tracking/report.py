"""The results of a sweep as a table and as a plot of quality against size."""

from __future__ import annotations

import csv
import statistics
from collections.abc import Mapping, Sequence
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
    speed_ratio: float | None = None
    failure: str | None = None
    group: str = ""  # students that differ by seed alone have one; what stands before # is shown


@dataclass(frozen=True, kw_only=True)
class Results:
    """The results of a sweep.

    Args:
        rows: one a model.
        columns: score -> title of its column.
        headline: the score that the plot shows.
        title: of page and plot.
        split: what was scored.
    """

    rows: Sequence[Row]
    columns: Mapping[str, str]
    headline: str
    title: str
    split: str


def table_rows(results: Results) -> list[list[str]]:
    """Header and lines as text."""
    lines = [["model", *results.columns.values(), "95 %", "MiB on disk", "smaller", "rule P", "faster", "note"]]
    for row in results.rows:
        scores = [f"{row.scores[name]:.2f}" if name in row.scores else "-" for name in results.columns]
        size = "-" if row.size_bytes is None else f"{row.size_bytes / MIB:.3f}"
        ratios = [_times(ratio) for ratio in (row.size_ratio, row.rule_p_ratio, row.speed_ratio)]
        note = f"FAILED: {row.failure}" if row.failure else ""
        lines.append([row.name, *scores, _interval(row, results.headline), size, *ratios, note])
    return lines


def _times(ratio: float | None) -> str:
    return "-" if ratio is None else f"{ratio:.2f}x"


def _interval(row: Row, headline: str) -> str:
    """The bootstrap interval of the headline."""
    low, high = row.scores.get(f"{headline}_low"), row.scores.get(f"{headline}_high")
    return "-" if low is None or high is None else f"{low:.2f} to {high:.2f}"


def seed_rows(results: Results) -> list[list[str]]:
    """Mean and standard deviation of every group of more than one finished student; empty without such a group."""
    groups: dict[str, list[Row]] = {}
    for row in results.rows:
        if row.group and not row.failure:
            groups.setdefault(row.group, []).append(row)
    lines = [["model", *results.columns.values(), "MiB on disk", "smaller", "seeds"]]
    for group, rows in groups.items():
        if len(rows) > 1:
            scores = [[row.scores[name] for row in rows] for name in results.columns]
            spreads = [f"{statistics.fmean(values):.2f} ± {statistics.stdev(values):.2f}" for values in scores]
            size = statistics.fmean(row.size_bytes or 0.0 for row in rows) / MIB
            ratio = statistics.fmean(row.size_ratio or 0.0 for row in rows)
            lines.append([group.partition("#")[0], *spreads, f"{size:.3f}", f"{ratio:.2f}x", str(len(rows))])
    return lines if len(lines) > 1 else []


def text_table(lines: Sequence[Sequence[str]]) -> str:
    """A table for a terminal."""
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    shown = [
        "  ".join(
            cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]
    return "\n".join([shown[0], "-" * len(shown[0]), *shown[1:]])


def tables(results: Results) -> list[list[list[str]]]:
    """The table of models, and that of means over seeds if there is one."""
    return [table for table in (table_rows(results), seed_rows(results)) if table]


def markdown_table(lines: Sequence[Sequence[str]]) -> str:
    """A table for a page."""
    shown = ["| " + " | ".join(line) + " |" for line in lines]
    shown.insert(1, "|" + "---|" * len(lines[0]))
    return "\n".join(shown)


def write_report(results: Results, folder: Path) -> None:
    """`results.csv`, `results.md` and `quality_vs_size.png` in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "results.csv").open("w", newline="") as file:
        csv.writer(file).writerows(table_rows(results))
    pages = "\n\n".join(markdown_table(table) for table in tables(results))
    (folder / "results.md").write_text(f"# {results.title}\n\n{pages}\n")
    _plot(results, folder / "quality_vs_size.png")


def _plot(results: Results, path: Path) -> None:
    """The headline against bytes on disk, logarithmic, models without a size as horizontal lines."""
    from matplotlib.figure import Figure  # no pyplot: no global state, no display

    figure = Figure(figsize=(8, 5), dpi=120, layout="constrained")
    axes = figure.subplots()
    for index, row in enumerate(row for row in results.rows if row.failure is None):
        score = row.scores[results.headline]
        if row.size_bytes is None:
            axes.axhline(score, linestyle=":", color="grey")
            axes.annotate(row.name, (0.01, score), xycoords=("axes fraction", "data"), va="bottom", color="grey")
            continue
        axes.scatter(row.size_bytes / MIB, score, s=45, color=f"C{index}", zorder=3)
        axes.annotate(row.name, (row.size_bytes / MIB, score), xytext=(6, 4), textcoords="offset points", fontsize=9)
    axes.set_xscale("log")
    axes.set_xlabel("weights on disk, MiB (log)")
    axes.set_ylabel(f"{results.headline} on the {results.split} split, %")
    axes.margins(x=0.25, y=0.12)
    axes.grid(alpha=0.3)
    axes.set_title(results.title)
    figure.savefig(path)
