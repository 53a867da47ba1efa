"""The report of a search as one page that needs nothing beside itself, with pictures and tables beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.report.columns import Column, cells
from pipeline.report.document import Chart, Line, document, picture
from pipeline.report.search_columns import candidate_columns, front_columns
from pipeline.report.search_costs import Front, in_words, marked, pareto_front_of
from pipeline.report.search_curves import error_curves, w_plot
from pipeline.report.search_interactive_course import curves_figure, w_figure
from pipeline.report.search_interactive_plots import scatter_figure
from pipeline.report.search_looks import LOOKS, group_of
from pipeline.report.search_results import SearchPoint, SearchResults
from pipeline.report.search_scatter import SearchScatter, search_scatters
from pipeline.report.search_static_plots import write_search_plots
from pipeline.report.search_summary import guarantee_numbers, search_summary
from pipeline.report.search_tables import assumption_rows, marked_rows, write_search_tables


def write_search_report(results: SearchResults, folder: Path) -> None:
    """`report.html`, `results.csv`, `results.md`, `config.yaml` and pictures of a search in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    write_search_tables(results, folder)
    write_search_plots(results, folder)
    write_search_page(results, folder)
    (folder / "config.yaml").write_text(results.config, encoding="utf-8")


def write_search_page(results: SearchResults, folder: Path) -> Path:
    """`report.html` in the folder that holds the pictures of `write_search_plots` already."""
    front = pareto_front_of(results)
    scatters = search_scatters(results, front)
    costs, course = _cost_charts(results, scatters, folder), _course_charts(results, front, folder)
    header, front_header = candidate_columns(results, front), front_columns(results, front)
    values: dict[str, Any] = {
        "results": results,
        "summary": search_summary(results, front),
        "costs": costs,
        "course": course,
        "looks": {key: look for key, look in LOOKS.items() if key in _drawn([*costs, *course])},
        "notes": _notes(list(scatters.values())),
        "front_header": front_header,
        "front": _lines(front.points, front_header, results, front),
        "objectives": f"{', '.join(front.objectives[:-1])} and {front.objectives[-1]}",
        "num_left_out": front.num_left_out,
        "has_times": any(point.latency_ms is not None for point in results.points),
        "costs_in_w": " and ".join(map(in_words, (results.size_cost, results.inference_cost))),
        "marked": marked_rows(results, front),
        "guarantee": guarantee_numbers(results),
        "assumptions": assumption_rows(results),
        "header": header,
        "lines": _lines(results.points, header, results, front),
    }
    path = folder / "report.html"
    page = document("search.html.j2", charts=[*costs, *course], styles=["search.css"], values=values)
    path.write_text(page, encoding="utf-8")
    return path


def _drawn(charts: Sequence[Chart]) -> set[str]:
    """The groups of candidates that some figure shows."""
    traces = (trace for chart in charts for trace in chart.figure["data"] if "meta" in trace)
    return {trace["meta"]["key"] for trace in traces}


def _cost_charts(results: SearchResults, scatters: dict[str, SearchScatter], folder: Path) -> list[Chart]:
    """Error against size and against time."""
    charts = []
    for name, scatter in scatters.items():
        coloured = "" if scatter.shade is None else f", coloured by {scatter.shade.title}"
        caption = f"{results.error_name[:1].upper()}{results.error_name[1:]} against {scatter.axis.title}{coloured}."
        figure = scatter_figure(results, scatter)
        charts.append(Chart(name=name, caption=caption, figure=figure, picture=picture(folder / f"{name}.png")))
    return charts


def _course_charts(results: SearchResults, front: Front, folder: Path) -> list[Chart]:
    """Errors by step and W along the order, those there is something to draw in."""
    curves, plot, charts = error_curves(results, front), w_plot(results, front), []
    if curves:
        charts.append(
            Chart(
                name="errors_by_step",
                caption="Error by optimiser step: who went on, and who was given up.",
                figure=curves_figure(results, curves),
                picture=picture(folder / "errors_by_step.png"),
            )
        )
    if plot is not None:
        charts.append(
            Chart(
                name="w_by_order",
                caption="W along the order of the search: the cover, and what lies between.",
                figure=w_figure(results, plot),
                picture=picture(folder / "w_by_order.png"),
            )
        )
    return charts


def _notes(scatters: Sequence[SearchScatter]) -> list[str]:
    """What the signs in the plots against costs mean, as far as they are there."""
    dots = [dot for scatter in scatters for dot in scatter.dots]
    rules = [rule for scatter in scatters for rule in scatter.rules]
    labels = sum(len(scatter.labels) for scatter in scatters)
    wanted = sum(len({dot.point.name for dot in scatter.dots if dot.is_front}) for scatter in scatters)
    notes = {
        "Diamonds: the time is a prediction.": any(dot.is_predicted for dot in dots),
        "Bars: the interval of a time, the standard deviation of an error over seeds.": any(
            dot.x_interval or dot.spread for dot in dots
        ),
        "Of so many points only those with a number or a name have bars.": any(
            len(scatter.with_bars) < len(scatter.dots) for scatter in scatters
        ),
        "Numbers for which there is no room are left out; the mouse shows all.": labels < wanted,
        "Vertical dashed lines: T, the maximum point, and architectures that have no error here.": any(
            not rule.is_limit for rule in rules
        ),
        "Tinted: what the limit excludes.": any(rule.is_limit and rule.arrow != "→" for rule in rules),
    }
    return [note for note, is_needed in notes.items() if is_needed]


def _lines(
    points: Sequence[SearchPoint], header: Sequence[Column[SearchPoint]], results: SearchResults, front: Front
) -> list[Line]:
    marks = marked(results)
    lines = []
    for point in points:
        kind = "answer" if point.name == results.best else "untried" if point.state == "not tried" else "candidate"
        hint, colour = ", ".join(marks.get(point.name, ())), LOOKS[group_of(point, front)].colour
        lines.append(Line(name=point.name, kind=kind, hint=hint, colour=colour, cells=cells(point, header)))
    return lines
