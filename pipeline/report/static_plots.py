"""Static pictures of a sweep, for people without scripts, for paper and for thumbnails."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from pipeline.report.curves import by_metric, wants_log_axis
from pipeline.report.pareto import GREY, LATENCY, SIZE, TEACHER_COLOUR, Axis, Point, Style, styles
from pipeline.report.results import Results
from pipeline.report.scatter_layout import ScatterLayout, scatter_layout_of

DPI = 120
CURVE_COLUMNS = 3


def write_plots(results: Results, folder: Path) -> None:
    """`quality_vs_size.png`, `quality_vs_latency.png` and `curves.png`, those there is something to draw in."""
    for axis in (SIZE, LATENCY):
        if (layout := scatter_layout_of(results, axis)) is not None:
            quality_plot(results, layout).savefig(folder / f"quality_vs_{axis.name}.png", dpi=DPI)
    if results.curves:
        curves_plot(results).savefig(folder / "curves.png", dpi=DPI)


def quality_plot(results: Results, layout: ScatterLayout) -> Any:
    """The headline against a cost: points with error bars, the front as a step line with names, a legend of all."""
    from matplotlib.figure import Figure  # no pyplot: no global state, no display

    figure, looks = Figure(figsize=(9, 5.2), layout="constrained"), styles(results)
    axes, front = figure.subplots(), layout.front
    axes.step([p.x for p in front], [p.score for p in front], where="post", color=GREY, linewidth=1.2, zorder=1)
    for point in layout.points:
        _draw_point(axes, point, looks.get(point.key), results.headline, layout.axis)
    for name in layout.names:
        colour = looks[name.point.key].colour if name.point.key in looks else TEACHER_COLOUR
        _write(axes, name.point.name, (name.point.x, name.score), colour, offset=(-5, 4), ha="right", va="bottom")
    for teacher in (p for p in layout.points if p.is_teacher and p not in front):
        _write(axes, teacher.name, (teacher.x, teacher.score), TEACHER_COLOUR, offset=(0, -8), ha="center", va="top")
    for near in layout.neighbours:
        axes.scatter(near.x, near.score, s=40, marker="D", facecolors="none", edgecolors=GREY, zorder=2)
        _write(axes, near.published.bits, (near.x, near.score), GREY, offset=(4, -3), ha="left", va="top")
    for level in layout.levels:
        if not level.arrow:
            axes.axhline(level.score, linestyle=":" if level.row.kind == "teacher" else "-.", color=GREY, linewidth=1)
        if level.row.kind == "baseline":
            at, va = (
                max(layout.scores[0], min(layout.scores[1], level.score)),
                "top" if level.arrow == "↑" else "bottom",
            )
            axes.annotate(
                level.text, (0.99, at), xycoords=("axes fraction", "data"), ha="right", va=va, fontsize=8, color=GREY
            )
    axes.set_ylim(*layout.scores)
    _scale(axes, layout.axis)
    axes.set_xlim(*(10**end if layout.axis.log else end for end in layout.costs))
    axes.set_ylabel(f"{results.columns[results.headline]} on the {results.split} split, %")
    axes.grid(alpha=0.25)
    axes.set_title(results.title, fontsize=11)
    if len(layout.points) > 1:
        figure.legend(loc="outside right center", fontsize=8, frameon=False)
    return figure


def _write(
    axes: Any, text: str, at: tuple[float, float], colour: str, *, offset: tuple[int, int], ha: str, va: str
) -> None:
    """A name beside a point, so many points of the picture away."""
    axes.annotate(text, at, xytext=offset, textcoords="offset points", ha=ha, va=va, fontsize=8, color=colour)


def _draw_point(axes: Any, point: Point, look: Style | None, headline: str, axis: Axis) -> None:
    colour, marker = (look.colour, look.shape[1]) if look is not None else (TEACHER_COLOUR, "*")
    ends = None if point.bar is None else [[length] for length in point.bar]
    size = {"markersize": 10 if point.is_teacher else 7, "elinewidth": 1, "capsize": 3}
    axes.errorbar(point.x, point.score, yerr=ends, fmt=marker, color=colour, zorder=3, label=point.name, **size)
    if len(point.rows) > 1:
        costs, scores = [axis.value(row) for row in point.rows], [row.scores[headline] for row in point.rows]
        axes.scatter(costs, scores, s=14, color=colour, alpha=0.5, zorder=2)


def _scale(axes: Any, axis: Axis) -> None:
    if axis.log:
        from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel(f"{axis.title}{' (log)' if axis.log else ''}")


def curves_plot(results: Results) -> Any:
    """Every metric of training in a panel of its own, all students in each."""
    from matplotlib.figure import Figure

    looks, panels = styles(results), by_metric(results.curves)
    num_rows = math.ceil(len(panels) / CURVE_COLUMNS)
    legend_columns = max(1, min(4, 130 // (8 + max(len(look.label) for look in looks.values()))))
    legend_rows = math.ceil(len(looks) / legend_columns)
    figure = Figure(figsize=(12, 2.6 * num_rows + 0.22 * legend_rows + 0.4), layout="constrained")
    grid = figure.subplots(num_rows, CURVE_COLUMNS, squeeze=False).flat
    named = set()
    for index, (axes, (metric, curves)) in enumerate(zip(grid, panels.items(), strict=False)):
        for curve in curves:
            look = looks[curve.key]
            label = None if curve.key in named else look.label
            named.add(curve.key)
            steps, values = zip(*curve.points, strict=True)
            axes.plot(steps, values, color=look.colour, linestyle=look.dash[1], linewidth=1, label=label)
        axes.set_title(metric, fontsize=9)
        axes.tick_params(labelsize=8)
        axes.grid(alpha=0.25)
        if index + CURVE_COLUMNS >= len(panels):
            axes.set_xlabel("optimiser step", fontsize=8)
        if wants_log_axis(curves):
            axes.set_yscale("log")
    for axes in list(figure.axes)[len(panels) :]:
        axes.set_visible(False)
    figure.legend(loc="outside lower center", ncols=legend_columns, fontsize=8, frameon=False)
    return figure
