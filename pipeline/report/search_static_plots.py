"""Static pictures of a search, for people without scripts, for paper and for thumbnails."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.report.curves import Curve, wants_log_axis
from pipeline.report.pareto import GREY
from pipeline.report.search_costs import pareto_front_of
from pipeline.report.search_curves import WPlot, error_curves, step_ticks, steps_want_log, w_plot
from pipeline.report.search_looks import COLOUR_SCALE, LIMIT_COLOUR, LOOKS
from pipeline.report.search_numbers import axis_ticks
from pipeline.report.search_results import SearchPoint, SearchResults
from pipeline.report.search_scatter import Dot, Scale, SearchScatter, anchor, search_scatters

DPI = 120
SIGNS = {"answer": ("*", 190), "optimum": ("s", 150), "chosen": ("o", 130), "named": ("p", 150)}
OFFSETS = {"left": -6, "center": 0, "right": 6}


def write_search_plots(results: SearchResults, folder: Path) -> None:
    """`error_vs_size.png`, `error_vs_latency.png`, `errors_by_step.png`, `w_by_order.png`; no empty ones."""
    front = pareto_front_of(results)
    for name, scatter in search_scatters(results, front).items():
        scatter_plot(results, scatter).savefig(folder / f"{name}.png", dpi=DPI)
    curves = error_curves(results, front)
    if curves:
        curves_plot(results, curves).savefig(folder / "errors_by_step.png", dpi=DPI)
    plot = w_plot(results, front)
    if plot is not None:
        w_picture(results, plot).savefig(folder / "w_by_order.png", dpi=DPI)


def scatter_plot(results: SearchResults, scatter: SearchScatter) -> Any:
    """Error against a cost, coloured by another; the front outlined and numbered, T and the limits as lines."""
    from matplotlib.figure import Figure  # no pyplot: no global state, no display

    figure = Figure(figsize=(9, 5.6), layout="constrained")
    axes = figure.subplots()
    _draw_bars(axes, scatter.with_bars)
    for is_front, is_predicted in itertools.product((False, True), (False, True)):
        _draw_dots(axes, [d for d in scatter.dots if (d.is_front, d.is_predicted) == (is_front, is_predicted)], scatter)
    for group, dots in scatter.rings.items():
        _draw_sign(axes, group, [(dot.x, dot.error) for dot in dots])
    for label in scatter.labels:
        vertical, horizontal = label.position.split()
        axes.annotate(
            label.text,
            (label.dot.x, label.dot.error),
            xytext=(OFFSETS[horizontal], {"top": 6, "middle": 0, "bottom": -6}[vertical]),
            textcoords="offset points",
            ha={"left": "right", "center": "center", "right": "left"}[horizontal],
            va={"top": "bottom", "middle": "center", "bottom": "top"}[vertical],
            fontsize=8,
            zorder=5,
        )
    num_rows = _draw_rules(axes, scatter)
    axes.set_xscale("log" if scatter.x.is_log else "linear")
    axes.set_yscale("log" if scatter.y.is_log else "linear")
    _ticks(axes.xaxis, scatter.x)
    _ticks(axes.yaxis, scatter.y)
    axes.set_xlim(*scatter.x.ends)
    axes.set_ylim(*scatter.y.ends)
    axes.set_xlabel(scatter.axis.title + (" (log)" if scatter.x.is_log else ""))
    axes.set_ylabel(results.error_name + (" (log)" if scatter.y.is_log else ""))
    axes.grid(alpha=0.25)
    axes.set_title(results.title, fontsize=11, pad=6 + 11 * num_rows)
    if scatter.shade is not None:
        _colour_bar(figure, axes, scatter.shades, scatter.shade.short)
    _legend(figure, scatter)
    return figure


def _colours() -> Any:
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("costs", list(COLOUR_SCALE))


def _draw_bars(axes: Any, dots: Sequence[Dot]) -> None:
    """How sure times and errors are, beneath the points."""
    bars, spreads = [dot.x_bar or (0.0, 0.0) for dot in dots], [dot.spread or 0.0 for dot in dots]
    ends = [[bar[0] for bar in bars], [bar[1] for bar in bars]]
    where = [dot.x for dot in dots], [dot.error for dot in dots]
    axes.errorbar(*where, xerr=ends, yerr=spreads, fmt="none", ecolor="#b4bac3", elinewidth=0.8, zorder=2)


def _draw_dots(axes: Any, dots: Sequence[Dot], scatter: SearchScatter) -> None:
    """Candidates that look alike but for the colour, which stands for the other cost."""
    if not dots:
        return
    is_front, colours = dots[0].is_front, _colours()
    plain = LOOKS["front" if is_front else "dominated"].colour
    is_coloured = scatter.shade is not None
    shades = [colours(scatter.shades.place(d.shade)) if is_coloured and d.shade is not None else plain for d in dots]
    axes.scatter(
        [dot.x for dot in dots],
        [dot.error for dot in dots],
        s=48 if is_front else 30,
        color=shades,
        marker="D" if dots[0].is_predicted else "o",
        alpha=1.0 if is_front else 0.75,
        edgecolors="#111111" if is_front else "#ffffff",
        linewidths=1.1 if is_front else 0.4,
        zorder=3,
    )


def _draw_sign(axes: Any, group: str, places: Sequence[tuple[float, float]]) -> None:
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


def _draw_rules(axes: Any, scatter: SearchScatter) -> int:
    """The vertical lines with their names above the plot; how many rows of names there are."""
    for rule in scatter.rules:
        colour = LIMIT_COLOUR if rule.is_limit else GREY
        if rule.is_limit and rule.arrow != "→":
            start, end_of_plot = max(rule.x, scatter.x.ends[0]), scatter.x.ends[1]
            axes.axvspan(start, end_of_plot, color=colour, alpha=0.06, linewidth=0, zorder=0)
        if not rule.arrow:
            axes.axvline(rule.x, color=colour, linewidth=1, linestyle="-" if rule.is_limit else "--", zorder=1)
        place, end = anchor(rule, scatter.x)
        axes.annotate(
            rule.text,
            (place, 1.0),
            xycoords="axes fraction",
            xytext=(0, 2 + 11 * rule.row),
            textcoords="offset points",
            ha=end,
            va="bottom",
            fontsize=8,
            color=colour,
        )
    return max((rule.row + 1 for rule in scatter.rules), default=0)


def _ticks(axis: Any, scale: Scale) -> None:
    """Round ones."""
    from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

    values, texts = axis_ticks(*scale.ends, scale.is_log)
    axis.set_major_locator(FixedLocator(values))
    axis.set_major_formatter(FixedFormatter(texts))
    axis.set_minor_locator(NullLocator())


def _colour_bar(figure: Any, axes: Any, scale: Scale, title: str) -> None:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    values, texts = axis_ticks(*scale.ends, scale.is_log)
    bar = figure.colorbar(ScalarMappable(Normalize(0, 1), _colours()), ax=axes, fraction=0.03, pad=0.015)
    bar.set_ticks([scale.place(value) for value in values], labels=texts)
    bar.ax.tick_params(labelsize=8)
    bar.ax.set_title(title, fontsize=8)
    bar.outline.set_visible(False)


def _legend(figure: Any, scatter: SearchScatter) -> None:
    """What the signs mean."""
    from matplotlib.lines import Line2D

    def sign(marker: str, face: str, edge: str, label: str, size: float) -> Any:
        shown = Line2D([], [], marker=marker, color=face, markeredgecolor=edge, markersize=size, label=label)
        shown.set_linestyle("none")
        return shown

    handles = [sign("o", "#ffffff", "#111111", "Pareto front", 6)]
    if any(dot.is_predicted for dot in scatter.dots):
        handles.append(sign("D", GREY, GREY, "time predicted", 5))
    for group in reversed(scatter.rings):
        look = LOOKS[group]
        handles.append(sign(SIGNS[group][0], look.colour if group == "answer" else "none", look.colour, look.label, 9))
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), fontsize=8, frameon=False)


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
            _draw_sign(axes, group, places)
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
