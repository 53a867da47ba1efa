"""Interactive pictures of the course of a search, as plotly describes them: errors by step, W along the order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pipeline.report.curves import Curve, rounded, wants_log_axis
from pipeline.report.pareto import GREY
from pipeline.report.plotly_look import GRID, described, frame
from pipeline.report.search_curves import DRAWN, WPlot, step_ticks, steps_want_log
from pipeline.report.search_interactive_plots import HEIGHT, SIZES, SYMBOLS, hover
from pipeline.report.search_looks import LOOKS
from pipeline.report.search_numbers import significant
from pipeline.report.search_results import SearchPoint, SearchResults


def curves_figure(results: SearchResults, curves: Sequence[Curve]) -> dict[str, Any]:
    """The error of every candidate by step; one trace a group, its curves apart by gaps."""
    import plotly.graph_objects as go

    figure, by_name = go.Figure(), {point.name: point for point in results.points}
    for group in DRAWN:
        mine = [curve for curve in curves if curve.group == group]
        if mine:
            figure.add_scatter(**_curves(group, mine, lambda name: hover(by_name[name], results)))
    ticks, log = step_ticks(curves), steps_want_log(curves)
    figure.update_layout(
        **frame(HEIGHT),
        hovermode="closest",
        xaxis={
            **GRID,
            "title": {"text": "optimiser step" + (" (log)" if log else "")},
            "type": "log" if log else "linear",
            **({"tickvals": ticks, "ticktext": [f"{step:,}" for step in ticks]} if ticks else {}),
        },
        yaxis={
            **GRID,
            "title": {"text": "error"},
            "type": "log" if wants_log_axis(curves) else "linear",
            "tickformat": "~g",
            "automargin": True,
        },
    )
    return described(figure)


def _curves(group: str, curves: Sequence[Curve], text: Callable[[str], str]) -> dict[str, Any]:
    xs: list[float | None] = []
    ys: list[float | None] = []
    texts: list[str] = []
    symbols: list[str] = []
    end = "x-thin-open" if group in ("given up", "diverged") else "circle"
    for curve in curves:
        last, about = curve.points[-1][0], text(curve.name)
        for step, error in curve.points:
            xs.append(step)
            ys.append(rounded(error))
            texts.append(f"step {step:,}: {significant(error)}<br>{about}")
            symbols.append(end if step == last else "circle")
        xs.append(None)
        ys.append(None)
        texts.append("")
        symbols.append("circle")
    strong = group in ("answer", "optimum")
    colour = LOOKS[group].colour
    return {
        "x": xs,
        "y": ys,
        "mode": "lines+markers",
        "line": {"color": colour, "width": 2.6 if strong else 1.2, "dash": "dash" if group == "optimum" else "solid"},
        "marker": {
            "color": colour,
            "symbol": symbols,
            "size": 6 if strong else 5,
            "line": {"color": colour, "width": 1.2},
        },
        "opacity": 1.0 if strong or group == "front" else 0.6,
        "hovertext": texts,
        "hoverinfo": "text",
        "connectgaps": False,
        "meta": {"key": group},
    }


def w_figure(results: SearchResults, plot: WPlot) -> dict[str, Any]:
    """W along the order: the cover filled, what was not tried as ticks at 0, the upper bound as a line."""
    import plotly.graph_objects as go

    figure = go.Figure()
    for group, shown in plot.shown.items():
        figure.add_scatter(
            x=[place for place, _, _ in shown],
            y=[w for _, w, _ in shown],
            mode="markers",
            marker=_w_marker(group, [point for _, _, point in shown]),
            hovertext=[hover(point, results) for _, _, point in shown],
            hoverinfo="text",
            cliponaxis=False,
            meta={"key": group},
        )
    everything = [one for shown in plot.shown.values() for one in shown]
    for group, name in (("optimum", results.optimum), ("answer", results.best)):
        mine = [(place, w) for place, w, point in everything if point.name == name and point.w is not None]
        if mine:
            figure.add_scatter(
                x=[place for place, _ in mine],
                y=[w for _, w in mine],
                mode="markers",
                marker={"symbol": SYMBOLS[group], "size": SIZES[group], "color": LOOKS[group].colour},
                hoverinfo="skip",
                meta={"key": group},
            )
    if plot.bound is not None:
        if not plot.is_far:
            figure.add_hline(y=plot.bound, line={"color": GREY, "width": 1, "dash": "dash"}, layer="below")
        figure.add_annotation(
            text=plot.text,
            x=1,
            xref="paper",
            xanchor="right",
            y=min(plot.bound, plot.highest),
            yanchor="top" if plot.is_far else "bottom",
            showarrow=False,
            font={"size": 11, "color": "#6b7078"},
        )
    num = len(results.points)
    title = "place in the order of the search, cheapest first"
    figure.update_layout(
        **frame(HEIGHT),
        xaxis={
            **GRID,
            "title": {"text": title},
            "range": [1 - 0.03 * num - 0.3, num + 0.03 * num + 0.3],
            "tickformat": "~d",
        },
        yaxis={**GRID, "title": {"text": "W"}, "range": [-0.03 * plot.highest, plot.highest], "automargin": True},
    )
    return described(figure)


def _w_marker(group: str, points: Sequence[SearchPoint]) -> dict[str, Any]:
    colour = LOOKS[group].colour
    signs = {"not tried": ("line-ns-open",) * 2, "given up": ("x-thin-open",) * 2, "diverged": ("x-thin-open",) * 2}
    inside, outside = signs.get(group, ("circle", "circle-open"))
    return {
        "symbol": [inside if point.in_cover else outside for point in points],
        "color": colour,
        "size": 5 if group == "not tried" else 8,
        "line": {"color": colour, "width": 0.7 if group == "not tried" else 1.3},
    }
