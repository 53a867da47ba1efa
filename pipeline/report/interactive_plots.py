"""Interactive pictures of a sweep, as plotly describes them; `report.js` draws them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import Any

from pipeline.report.curves import by_metric, rounded, wants_log_axis
from pipeline.report.pareto import GREY, TEACHER_COLOUR, Axis, Point, styles
from pipeline.report.plotly_look import GRID, described, frame
from pipeline.report.results import MIB, Results
from pipeline.report.scatter_layout import Level, Neighbour, ScatterLayout

QUALITY_HEIGHT, PANEL_HEIGHT = 430, 250  # pixels
CURVE_COLUMNS = 3


def quality_figure(results: Results, layout: ScatterLayout) -> dict[str, Any]:
    """The headline against a cost; a trace a model, so that one click shows and hides it.

    Every trace of a student names its `Row.key` under `meta`.
    """
    import plotly.graph_objects as go  # importing plotly takes a while

    figure, front = go.Figure(), layout.front
    steps = {"shape": "hv", "color": GREY, "width": 1.5}
    figure.add_scatter(x=[p.x for p in front], y=[p.score for p in front], mode="lines", line=steps, hoverinfo="skip")
    if layout.neighbours:
        figure.add_scatter(**_published(layout.neighbours, results))
    for point in layout.points:
        if len(point.rows) > 1:
            figure.add_scatter(**_seeds(point, results, layout.axis))
        figure.add_scatter(**_marker(point, results))
    for name in layout.names:
        figure.add_scatter(**_name(name.point, name.score, results, "top left"))
    for teacher in (p for p in layout.points if p.is_teacher and p not in front):
        figure.add_scatter(**_name(teacher, teacher.score, results, "bottom center"))
    for level in layout.levels:
        _draw_level(figure, level, layout)
    figure.update_layout(
        **frame(QUALITY_HEIGHT),
        xaxis={**GRID, "title": {"text": layout.axis.title + (" (log)" if layout.axis.log else "")}, **_x_axis(layout)},
        yaxis={
            **GRID,
            "title": {"text": escape(f"{results.columns[results.headline]}, {results.split} split, %")},
            "range": list(layout.scores),
            "automargin": True,
        },
    )
    return described(figure)


def _draw_level(figure: Any, level: Level, layout: ScatterLayout) -> None:
    """A horizontal line with its name, or the name alone at the edge behind which it lies; the teacher is a point."""
    if not level.arrow:
        dash = "dot" if level.row.kind == "teacher" else "dashdot"
        figure.add_hline(y=level.score, line={"color": GREY, "width": 1, "dash": dash}, layer="below")
    if level.row.kind == "baseline":
        figure.add_annotation(
            text=escape(level.text),
            x=1,
            xref="paper",
            xanchor="right",
            y=max(layout.scores[0], min(layout.scores[1], level.score)),
            yanchor="top" if level.arrow == "↑" else "bottom",
            showarrow=False,
            font={"size": 11, "color": "#6b7078"},
        )


def _x_axis(layout: ScatterLayout) -> dict[str, Any]:
    few_decades = layout.costs[1] - layout.costs[0] < 2
    ticks = {"type": "log", "dtick": "D2" if few_decades else 1} if layout.axis.log else {}
    return {"range": list(layout.costs), "tickformat": "~g", **ticks}


def _look(point: Point, results: Results) -> tuple[str, str]:
    """Colour and marker."""
    look = styles(results).get(point.key)
    return (TEACHER_COLOUR, "star") if look is None else (look.colour, look.shape[0])


def _marker(point: Point, results: Results) -> dict[str, Any]:
    colour, symbol = _look(point, results)
    bars: dict[str, Any] = {}
    if point.bar is not None:
        ends = {"array": [point.bar[1]], "arrayminus": [point.bar[0]]}
        bars = {"error_y": {"type": "data", "symmetric": False, **ends, "color": colour, "thickness": 1, "width": 4}}
    return {
        "x": [point.x],
        "y": [point.score],
        "mode": "markers",
        "marker": {"color": colour, "symbol": symbol, "size": 14 if point.is_teacher else 10},
        **bars,
        "hovertext": [_hover(point, results)],
        "hoverinfo": "text",
        "meta": {"key": point.key},
    }


def _name(point: Point, score: float, results: Results, position: str) -> dict[str, Any]:
    return {
        "x": [point.x],
        "y": [score],
        "mode": "text",
        "text": [escape(point.name) + (2 * "\u00a0" if position.endswith("left") else "")],  # beside the marker
        "textposition": position,
        "textfont": {"size": 11, "color": _look(point, results)[0]},
        "cliponaxis": False,
        "hoverinfo": "skip",
        "meta": {"key": point.key},
    }


def _seeds(point: Point, results: Results, axis: Axis) -> dict[str, Any]:
    look = styles(results)[point.key]
    scores = [row.scores[results.headline] for row in point.rows]
    title = results.columns[results.headline]
    hover = [f"{escape(row.name)}<br>{title} {score:.2f}" for row, score in zip(point.rows, scores, strict=True)]
    return {
        "x": [axis.value(row) for row in point.rows],
        "y": scores,
        "mode": "markers",
        "hovertext": hover,
        "marker": {"color": look.colour, "symbol": look.shape[0], "size": 5, "opacity": 0.45},
        "hoverinfo": "text",
        "meta": {"key": point.key},
    }


def _hover(point: Point, results: Results) -> str:
    """Name, score, interval, bytes, ratio, time; of several seeds their means."""
    row, title = point.rows[0], results.columns[results.headline]
    lines = [f"<b>{escape(point.name)}</b>", f"{title} {point.score:.2f}"]
    if point.low is not None and point.high is not None:
        kind = "95 %" if len(point.rows) == 1 else f"± standard deviation of {len(point.rows)} seeds"
        lines[-1] += f" ({point.low:.2f} to {point.high:.2f}, {kind})"
    if row.size_bytes is not None:
        ratio = "" if row.size_ratio is None or point.is_teacher else f", {row.size_ratio:.2f}x smaller"
        lines.append(f"{row.size_bytes:,.0f} bytes ({row.size_bytes / MIB:.3f} MiB){ratio}")
    times = [row.latency_p50_ms for row in point.rows if row.latency_p50_ms is not None]
    if times:
        ratios = [row.speed_ratio for row in point.rows if row.speed_ratio is not None]
        faster = f", {sum(ratios) / len(ratios):.2f}x the teacher's speed" if ratios and not point.is_teacher else ""
        lines.append(f"{sum(times) / len(times):.1f} ms a sequence{faster}")
    return "<br>".join(lines)


def _published(neighbours: Sequence[Neighbour], results: Results) -> dict[str, Any]:
    title = results.columns[results.headline]
    given = [(near.published, near.score) for near in neighbours]
    hover = [
        f"<b>published: {escape(p.method)}, {escape(p.bits)}</b><br>{title} {score:.2f}, {escape(p.size_printed)}"
        " by the paper's accounting<br>other data or another model: for orientation only"
        for p, score in given
    ]
    return {
        "x": [near.x for near in neighbours],
        "y": [near.score for near in neighbours],
        "mode": "markers+text",
        "text": [escape(p.bits) for p, _ in given],
        "textposition": "bottom right",
        "textfont": {"size": 10, "color": GREY},
        "hovertext": hover,
        "hoverinfo": "text",
        "marker": {"symbol": "diamond-open", "size": 9, "color": GREY},
    }


def curves_figure(results: Results) -> dict[str, Any]:
    """A panel a metric, all students in each; small multiples need no selector and print."""
    from plotly.subplots import make_subplots

    looks, panels = styles(results), by_metric(results.curves)
    num_rows = math.ceil(len(panels) / CURVE_COLUMNS)
    gap = 46 / (PANEL_HEIGHT * num_rows)
    figure = make_subplots(
        num_rows, CURVE_COLUMNS, subplot_titles=list(panels), vertical_spacing=gap, horizontal_spacing=0.05
    )
    for index, (_, curves) in enumerate(panels.items()):
        place = {"row": index // CURVE_COLUMNS + 1, "col": index % CURVE_COLUMNS + 1}
        for curve in curves:
            look = looks[curve.key]
            figure.add_scatter(
                x=[step for step, _ in curve.points],
                y=[rounded(value) for _, value in curve.points],
                mode="lines",
                name=escape(curve.name),
                line={"color": look.colour, "dash": look.dash[0], "width": 1.4},
                hovertemplate="step %{x}: %{y:.4g}",
                meta={"key": curve.key},
                **place,
            )
        figure.update_xaxes(**GRID, **place)
        largest = max(abs(value) for curve in curves for _, value in curve.points)
        figure.update_yaxes(
            **GRID,
            **place,
            type="log" if wants_log_axis(curves) else "linear",
            tickformat="~g" if 1e-3 <= largest < 1e6 or largest == 0 else "~e",  # what has room beside a panel
        )
    figure.update_annotations(font={"size": 12, "color": "#22262b"})
    figure.update_layout(**frame(PANEL_HEIGHT * num_rows + 30), hovermode="closest")
    return described(figure)
