"""The report as one page that needs nothing beside itself: tables, interactive plots, samples, configuration."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pipeline.report.columns import Column, cells, number_column
from pipeline.report.document import Chart, Line, document, picture
from pipeline.report.interactive_plots import curves_figure, quality_figure
from pipeline.report.pareto import LATENCY, SIZE, TEACHER_COLOUR, pareto_front, points, styles
from pipeline.report.results import SIZE_COLUMNS, Results, Row, Sample, recovery_columns, score_columns, seed_rows
from pipeline.report.scatter_layout import scatter_layout_of

SHOWN_SAMPLES = 10  # the others are in samples.json
# What a failure's reason holds -> what a person can do about it.
REMEDIES = {
    "non-finite": "Training diverged. A lower learning rate or a longer warm-up usually helps.",
    "gradient norm": "Training diverged. A lower learning rate or a longer warm-up usually helps.",
    "out of memory": "A smaller student.micro_batch_tokens needs less memory.",
    "not finished": "It was interrupted. The same command, submitted again, continues it.",
}


def write_page(results: Results, folder: Path) -> Path:
    """`report.html` in the folder that holds the pictures of `write_plots` already."""
    quality, training = _charts(results, folder)
    header, charts = columns(results), [*quality, *training]
    values = {
        "results": results,
        "summary": summary(results),
        "header": header,
        "explained": [column for column in header if column.title not in results.columns.values()],
        "lines": [_line(row, header, results) for row in results.rows if not (row.failure or row.stopped)],
        "failures": [(row, remedy(row.failure or "")) for row in results.failed],
        "seeds": seed_rows(results),
        "looks": {key: look for key, look in styles(results).items() if key in _drawn(charts)},
        "quality": quality,
        "training": training,
        "shown": [(sample, outputs(sample)) for sample in results.samples[:SHOWN_SAMPLES]],
    }
    path = folder / "report.html"
    path.write_text(document("report.html.j2", charts=charts, styles=(), values=values), encoding="utf-8")
    return path


def _line(row: Row, header: Sequence[Column[Row]], results: Results) -> Line:
    hint = f"run {row.run_id}" if row.run_id else ""
    return Line(name=row.name, kind=row.kind, hint=hint, colour=_colour(row, results), cells=cells(row, header))


def _drawn(charts: Sequence[Chart]) -> set[str]:
    """The keys of the students that some figure shows."""
    traces = (trace for chart in charts for trace in chart.figure["data"])
    return {trace["meta"]["key"] for trace in traces if "meta" in trace}


def _charts(results: Results, folder: Path) -> tuple[list[Chart], list[Chart]]:
    """The plots of quality, and those of training; only those there is something to draw in."""
    captions = {
        SIZE.name: "Quality against bytes on disk.",
        LATENCY.name: "Quality against time: the median of one sequence, batch size 1.",
    }
    quality = [
        Chart(
            name=f"quality_vs_{axis.name}",
            caption=captions[axis.name],
            figure=quality_figure(results, layout),
            picture=picture(folder / f"quality_vs_{axis.name}.png"),
        )
        for axis in (SIZE, LATENCY)
        if (layout := scatter_layout_of(results, axis)) is not None
    ]
    if not results.curves:
        return quality, []
    curves = Chart(
        name="curves",
        caption="By optimiser step; loss terms without their weights, gradient norms before clipping.",
        figure=curves_figure(results),
        picture=picture(folder / "curves.png"),
    )
    return quality, [curves]


def _colour(row: Row, results: Results) -> str:
    look = styles(results).get(row.key)
    if look is not None:
        return look.colour
    return TEACHER_COLOUR if row.kind == "teacher" else ""


def columns(results: Results) -> list[Column[Row]]:
    """Those of the console, and what there is room for on a page."""
    headline = results.columns[results.headline]
    teachers = results.of_kind("teacher")

    def lost(row: Row) -> float | None:
        if row.kind != "student" or not teachers or results.headline not in row.scores:
            return None
        return teachers[0].scores[results.headline] - row.scores[results.headline]

    loss: Column[Row] = number_column("lost", f"{headline} of the teacher less that of the student", lost, "{:.2f}")
    time: Column[Row] = number_column(
        "ms", "median time of one sequence, batch size 1", lambda row: row.latency_p50_ms, "{:.1f}"
    )
    front: dict[str, list[str]] = {row.name: [] for row in results.rows}
    for axis in (SIZE, LATENCY):
        for point in pareto_front(points(results, axis)):
            for row in point.rows:
                front[row.name].append(axis.name)
    best: Column[Row] = Column(
        title="front",
        meaning="on the Pareto front of size or of latency: no other model here is as good at its cost",
        value=lambda row: float(len(front[row.name])),
        text=lambda row: ", ".join(front[row.name]),
    )
    scores = [*score_columns(results), loss, *recovery_columns(results)]
    return [*scores, *SIZE_COLUMNS[:-2], time, *SIZE_COLUMNS[-2:], best]


def outputs(sample: Sample) -> list[tuple[str, list[str], bool]]:
    """What the models made of an example: a text, the models that wrote it, whether a reference says just that."""
    grouped: dict[str, list[str]] = {}
    for name, text in sample.outputs.items():
        grouped.setdefault(text, []).append(name)
    return [(text, names, text in sample.references) for text, names in grouped.items()]


def remedy(reason: str) -> str:
    """What a person can do about a failure; empty where its reason says all there is."""
    return next((advice for sign, advice in REMEDIES.items() if sign in reason), "")


def summary(results: Results) -> str:
    """The outcome in a few sentences."""
    headline, students = results.columns[results.headline], results.of_kind("student")
    num_students = len(students) + len(results.failed) + len(results.given_up)
    sentences = [f"{len(students)} of {num_students} students finished."]
    if results.given_up:
        sentences.append(f"{len(results.given_up)} were given up early, as the sweep's settings want it.")

    def described(row: Row) -> str:
        ends = row.interval(results.headline)
        interval = "" if ends is None else f" ({ends[0]:.2f} to {ends[1]:.2f})"
        ratio = "" if row.size_ratio is None or row.kind != "student" else f", {row.size_ratio:.2f}x smaller"
        return f"{headline} {row.scores[results.headline]:.2f}{interval}{ratio}"

    scored = [row for row in students if results.headline in row.scores]
    sentences += [f"The teacher has {described(row)}." for row in results.of_kind("teacher") if row.scores]
    if scored:
        best = max(scored, key=lambda row: row.scores[results.headline])
        sentences.append(f"Best student: {best.name}, {described(best)}.")
        sized = [row for row in scored if row.size_bytes is not None]
        least = min(sized, key=lambda row: (row.size_bytes, -row.scores[results.headline]), default=best)
        if least is not best:
            sentences.append(f"Smallest: {least.name}, {described(least)}.")
    return " ".join(sentences)
