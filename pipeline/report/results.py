"""The results of a sweep: what there is to say of every model, and the tables of it."""

from __future__ import annotations

import csv
import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal

from pipeline.console.tables import markdown_table, text_table
from pipeline.report.columns import Column, number_column
from pipeline.report.curves import Curve
from pipeline.report.results_of_papers import PublishedPoint

MIB = 2**20
OWN_NUMBERS = (
    *("size_bytes", "size_ratio", "paper_ratio", "speed_ratio", "onnx_speed_ratio", "latency_p50_ms"),
    "recovered_percent",
)
COUNTS = ("generated_words", "length_ratio", "empty_predictions")  # scores that are no percentages


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the results: a model, its scores in percent, its size, its times."""

    name: str
    scores: dict[str, float]
    kind: Literal["baseline", "teacher", "student"] = "student"
    size_bytes: float | None = None
    size_ratio: float | None = None
    paper_ratio: float | None = None
    speed_ratio: float | None = None
    onnx_speed_ratio: float | None = None
    latency_p50_ms: float | None = None
    recovered_percent: float | None = None  # of what quantizing without training costs
    failure: str | None = None
    stopped: str | None = None  # given up early: no scores, no failure
    group: str = ""  # students that differ by seed alone have one; what stands before # is shown
    run_id: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)  # whatever else its run has, for the csv

    @property
    def key(self) -> str:
        """The same for all seeds of a student: what decides its colour."""
        return self.group or self.name

    @property
    def label(self) -> str:
        """The name without the seed."""
        return self.group.partition("#")[0] or self.name

    def interval(self, score: str) -> tuple[float, float] | None:
        """The bootstrap interval of a score, if it has one."""
        low, high = self.scores.get(f"{score}_low"), self.scores.get(f"{score}_high")
        return None if low is None or high is None else (low, high)


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One example beside what the models made of it; `outputs` are by the name of the row."""

    source: str
    references: Sequence[str]
    outputs: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Results:
    """The results of a sweep.

    Args:
        rows: one a model.
        columns: score -> title of its column.
        headline: the score that the plots show.
        title: of page and plots.
        split: what was scored.
        facts: what was run, as name -> text.
        environment: with what, as name -> text.
        curves: of training.
        samples: the first examples.
        plan: what the job announced before it began, as a table; empty if nothing was.
        published: results of papers on this task.
        config: the resolved configuration as YAML.
    """

    rows: Sequence[Row]
    columns: Mapping[str, str]
    headline: str
    title: str
    split: str
    facts: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    curves: Sequence[Curve] = ()
    samples: Sequence[Sample] = ()
    plan: Sequence[Sequence[str]] = ()
    published: Sequence[PublishedPoint] = ()
    config: str = ""

    def of_kind(self, kind: str) -> list[Row]:
        """The rows of a kind that neither failed nor were given up."""
        return [row for row in self.rows if row.kind == kind and row.failure is None and row.stopped is None]

    @property
    def failed(self) -> list[Row]:
        """The students that failed."""
        return [row for row in self.rows if row.failure is not None]

    @property
    def given_up(self) -> list[Row]:
        """The students that were stopped early."""
        return [row for row in self.rows if row.stopped is not None]


def score_columns(results: Results) -> list[Column[Row]]:
    """The scores, and the bootstrap interval of the headline."""

    def low(row: Row) -> float | None:
        ends = row.interval(results.headline)
        return None if ends is None else ends[0]

    def interval(row: Row) -> str:
        ends = row.interval(results.headline)
        return "-" if ends is None else f"{ends[0]:.2f} to {ends[1]:.2f}"

    def score(name: str, row: Row) -> float | None:
        return row.scores.get(name)

    columns = [number_column(title, name, partial(score, name), "{:.2f}") for name, title in results.columns.items()]
    meaning = f"bootstrap interval of {results.columns[results.headline]} over the examples"
    return [*columns, Column(title="95 %", meaning=meaning, value=low, text=interval)]


SIZE_COLUMNS: list[Column[Row]] = [
    number_column(
        "MiB on disk",
        "size of model.safetensors",
        lambda row: None if row.size_bytes is None else row.size_bytes / MIB,
        "{:.3f}",
    ),
    number_column("smaller", "the teacher's bytes over these", lambda row: row.size_ratio, "{:.2f}x"),
    number_column(
        "paper ratio",
        "the same ratio by the papers' accounting, for comparison only",
        lambda row: row.paper_ratio,
        "{:.2f}x",
    ),
    number_column(
        "faster",
        "the teacher's median time over this one's, both in torch, measured in turns",
        lambda row: row.speed_ratio,
        "{:.2f}x",
    ),
    number_column(
        "faster, ONNX",
        "the teacher's median time in torch over this one's in ONNX Runtime, measured in the same turns",
        lambda row: row.onnx_speed_ratio,
        "{:.2f}x",
    ),
]


def recovery_columns(results: Results) -> list[Column[Row]]:
    """How much of the loss of quantizing without training is won back by training; none where nobody can tell."""
    if all(row.recovered_percent is None for row in results.rows):
        return []
    meaning = (
        "what training wins back of what quantizing without training costs: (this - ptq) / (full precision - ptq), "
        f"of {results.columns[results.headline]}"
    )
    return [number_column("recovered", meaning, lambda row: row.recovered_percent, "{:.0f} %")]


def table_rows(results: Results) -> list[list[str]]:
    """Header and lines as text."""
    columns = [*score_columns(results), *recovery_columns(results), *SIZE_COLUMNS]
    lines = [["model", *(column.title for column in columns), "note"]]
    for row in results.rows:
        note = f"FAILED: {row.failure}" if row.failure else row.stopped or ""
        lines.append([row.name, *(column.text(row) for column in columns), note])
    return lines


def seed_rows(results: Results) -> list[list[str]]:
    """Mean and standard deviation of every group of more than one finished student; empty without such a group."""
    groups: dict[str, list[Row]] = {}
    for row in results.rows:
        if row.group and row.scores:
            groups.setdefault(row.group, []).append(row)
    lines = [["model", *results.columns.values(), "MiB on disk", "smaller", "seeds"]]
    for rows in groups.values():
        if len(rows) > 1:
            scores = [[row.scores[name] for row in rows] for name in results.columns]
            spreads = [f"{statistics.fmean(values):.2f} ± {statistics.stdev(values):.2f}" for values in scores]
            size = statistics.fmean(row.size_bytes or 0.0 for row in rows) / MIB
            ratio = statistics.fmean(row.size_ratio or 0.0 for row in rows)
            lines.append([rows[0].label, *spreads, f"{size:.3f}", f"{ratio:.2f}x", str(len(rows))])
    return lines if len(lines) > 1 else []


def tables(results: Results) -> list[list[list[str]]]:
    """The table of models, and that of means over seeds if there is one."""
    return [table for table in (table_rows(results), seed_rows(results)) if table]


def records(results: Results) -> list[dict[str, str | float]]:
    """What the csv holds: of every model its texts, then every number it has, under names that bear units."""
    lines: list[dict[str, str | float]] = []
    for row in results.rows:
        texts = {"model": row.name, "kind": row.kind, "group": row.label if row.group else "", "run_id": row.run_id}
        own = {name: getattr(row, name) for name in OWN_NUMBERS}
        scores = {name if name in COUNTS else f"{name}_percent": value for name, value in row.scores.items()}
        lost = f"{results.headline}_lost"
        metrics = {f"{name}_percent" if name == lost else name: value for name, value in row.metrics.items()}
        numbers = {name: value for name, value in own.items() if value is not None} | scores | metrics
        lines.append({**texts, "failure": row.failure or "", "stopped": row.stopped or "", **numbers})
    return lines


def sample_table(results: Results) -> dict[str, list[str]]:
    """The samples as columns: source, references (one a line), and what every model made of it."""
    names = list(dict.fromkeys(name for sample in results.samples for name in sample.outputs))
    return {
        "source": [sample.source for sample in results.samples],
        "references": ["\n".join(sample.references) for sample in results.samples],
        **{name: [sample.outputs.get(name, "") for sample in results.samples] for name in names},
    }


def write_csv(lines: Sequence[Mapping[str, str | float]], path: Path) -> None:
    """Lines under the names that any of them has, in the order in which they come up; what a line has not is empty."""
    names = list(dict.fromkeys(name for line in lines for name in line))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, names, restval="")
        writer.writeheader()
        writer.writerows(lines)


def write_tables(results: Results, folder: Path) -> None:
    """`results.csv`, `results.md`, and where there are any `samples.json` and `plan.txt`, in a folder."""
    write_csv(records(results), folder / "results.csv")
    pages = "\n\n".join(markdown_table(table) for table in tables(results))
    (folder / "results.md").write_text(f"# {results.title}\n\n{pages}\n", encoding="utf-8")
    if results.samples:
        columns = sample_table(results)
        table = {"columns": list(columns), "data": [list(line) for line in zip(*columns.values(), strict=True)]}
        (folder / "samples.json").write_text(json.dumps(table, ensure_ascii=False, indent=1), encoding="utf-8")
    if results.plan:
        (folder / "plan.txt").write_text(f"{text_table(results.plan)}\n", encoding="utf-8")
