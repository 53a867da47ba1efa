"""Static pictures of the course of a search: errors by step, W along the order."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from pipeline.report.curves import Curve, wants_log_axis
from pipeline.report.pareto import GREY
from pipeline.report.search_curves import WPlot, step_ticks, steps_want_log
from pipeline.report.search_looks import LOOKS
from pipeline.report.search_results import SearchPoint, SearchResults

SIGNS = {"answer": ("*", 190), "optimum": ("s", 150), "chosen": ("o", 130), "named": ("p", 150)}


def draw_sign(axes: Any, group: str, places: Sequence[tuple[float, float]]) -> None:
    """The sign of a group at points that have their own beneath."""
    marker, size = SIGNS[group]
    look, is_filled = LOOKS[group], group == "answer"
    axes.scatter(
        [x for x, _ in places],
        [y for _, y in places],
        s=size,
        marker=marker,
        facecolors=look.colour if is_filled else "none",
        edgecolors=look.colour,
        linewidths=0.5 if is_filled else 1.6,
        label=look.label,
        zorder=4,
    )


def curves_plot(results: SearchResults, curves: Sequence[Curve]) -> Any:
    """The error of every candidate by step."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 5.2), layout="constrained")
    axes, groups = figure.subplots(), list(dict.fromkeys(curve.group for curve in curves))
    for group in groups:
        mine, strong = [curve for curve in curves if curve.group == group], group in ("answer", "optimum")
        gap = [(math.nan, math.nan)]
        steps, values = zip(*[point for curve in mine for point in [*curve.points, *gap]], strict=True)
        axes.plot(
            steps,
            values,
            color=LOOKS[group].colour,
            linewidth=2 if strong else 0.9,
            linestyle="--" if group == "optimum" else "-",
            alpha=1.0 if strong else 0.4 if group == "given up" else 0.7,
            marker="o",
            markersize=3,
            label=LOOKS[group].label,
        )
        if group in ("given up", "diverged"):
            steps, values = zip(*[curve.points[-1] for curve in mine], strict=True)
            axes.plot(steps, values, marker="x", linestyle="none", markersize=5, color=LOOKS[group].colour)
    if steps_want_log(curves):
        axes.set_xscale("log")
    ticks = step_ticks(curves)
    if ticks:
        axes.set_xticks(ticks, labels=[f"{step:,}" for step in ticks])
        axes.set_xticks([], minor=True)
    if wants_log_axis(curves):
        axes.set_yscale("log")
    axes.set_xlabel("optimiser step" + (" (log)" if steps_want_log(curves) else ""))
    axes.set_ylabel("error")
    axes.grid(alpha=0.25)
    axes.set_title(results.title, fontsize=11)
    figure.legend(loc="outside lower center", ncols=len(groups), fontsize=8, frameon=False)
    return figure


def w_picture(results: SearchResults, plot: WPlot) -> Any:
    """W along the order: the cover filled, what was not tried as ticks at 0, the upper bound as a line."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 5.2), layout="constrained")
    axes = figure.subplots()
    for group, shown in plot.shown.items():
        _draw_w(axes, group, shown)
    for group, name in (("optimum", results.optimum), ("answer", results.best)):
        places = [
            (place, w) for shown in plot.shown.values() for place, w, p in shown if p.name == name and p.w is not None
        ]
        if places:
            draw_sign(axes, group, places)
    if plot.bound is not None:
        if not plot.is_far:
            axes.axhline(plot.bound, color=GREY, linewidth=1, linestyle="--", zorder=1)
        axes.annotate(
            plot.text,
            (0.99, min(plot.bound, plot.highest)),
            xycoords=("axes fraction", "data"),
            ha="right",
            va="top" if plot.is_far else "bottom",
            fontsize=8,
            color=GREY,
        )
    axes.set_ylim(-0.03 * plot.highest, plot.highest)
    axes.set_xlabel("place in the order of the search, cheapest first")
    axes.set_ylabel("W")
    axes.grid(alpha=0.25)
    axes.set_title(results.title, fontsize=11)
    figure.legend(loc="outside lower center", ncols=4, fontsize=8, frameon=False)
    return figure


def _draw_w(axes: Any, group: str, shown: Sequence[tuple[int, float, SearchPoint]]) -> None:
    """A group of candidates; of those that were tried to the end what is not in the cover is open."""
    look, is_tried = LOOKS[group], group in ("front", "dominated")
    for is_in in (True, False) if is_tried else (None,):
        mine = [(place, w) for place, w, point in shown if is_in is None or point.in_cover == is_in]
        if mine:
            sign = {"marker": "o", "facecolors": look.colour if is_in else "none", "edgecolors": look.colour, "s": 26}
            thin = {"marker": "|" if group == "not tried" else "x", "color": look.colour, "s": 20, "linewidths": 1.0}
            label = look.label if is_in is not False else f"{look.label}, not in the cover"
            x, y = zip(*mine, strict=True)
            axes.scatter(x, y, label=label, zorder=3, **(sign if is_tried else thin))
