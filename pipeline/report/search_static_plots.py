"""Static pictures of a search, for people without scripts, for paper and for thumbnails."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.report.pareto import GREY
from pipeline.report.search_costs import pareto_front_of
from pipeline.report.search_curves import error_curves, w_plot
from pipeline.report.search_looks import COLOUR_SCALE, LIMIT_COLOUR, LOOKS
from pipeline.report.search_numbers import axis_ticks
from pipeline.report.search_results import SearchResults
from pipeline.report.search_rules import anchor
from pipeline.report.search_scale import Scale
from pipeline.report.search_scatter import Dot, SearchScatter, search_scatters
from pipeline.report.search_static_course import SIGNS, curves_plot, draw_sign, w_picture

DPI = 120
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
        draw_sign(axes, group, [(dot.x, dot.error) for dot in dots])
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
