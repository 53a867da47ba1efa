"""Interactive pictures of error against cost, as plotly describes them; `report.js` draws them.

Every trace of candidates names its group of `search_looks.LOOKS` under `meta`, so that one click shows and hides it.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from pipeline.report.curves import rounded
from pipeline.report.pareto import GREY
from pipeline.report.plotly_look import GRID, described, frame
from pipeline.report.search_costs import BYTES_KEY, LATENCY_KEY, in_words
from pipeline.report.search_looks import COLOUR_SCALE, LIMIT_COLOUR, LOOKS
from pipeline.report.search_numbers import axis_ticks, significant
from pipeline.report.search_results import SearchPoint, SearchResults
from pipeline.report.search_rules import anchor
from pipeline.report.search_scale import Scale
from pipeline.report.search_scatter import Dot, SearchScatter

HEIGHT = 440  # pixels
ROW_HEIGHT = 14  # of the names above a plot, in pixels
SYMBOLS = {"answer": "star", "optimum": "square-open", "chosen": "circle-open", "named": "pentagon-open"}
SIZES = {"answer": 17, "optimum": 17, "chosen": 15, "named": 17}


def scatter_figure(results: SearchResults, scatter: SearchScatter) -> dict[str, Any]:
    """Error against a cost, coloured by another; the front outlined and numbered, T and the limits as lines."""
    import plotly.graph_objects as go  # importing plotly takes a while

    figure = go.Figure()
    for group in ("dominated", "front"):
        dots = [dot for dot in scatter.dots if dot.is_front == (group == "front")]
        if dots:
            figure.add_scatter(**_bars(group, [dot for dot in scatter.with_bars if dot in dots]))
            figure.add_scatter(**_dots(group, [dot for dot in dots if dot.shade is None], results, scatter))
            figure.add_scatter(**_dots(group, [dot for dot in dots if dot.shade is not None], results, scatter))
    for group, dots in scatter.rings.items():
        figure.add_scatter(**_ring(group, dots, results))
    _draw_labels(figure, scatter)
    _draw_rules(figure, scatter)
    num_rows = max((rule.row + 1 for rule in scatter.rules), default=0)
    plain = frame(HEIGHT)
    if scatter.shade is not None:
        figure.update_layout(coloraxis=_shades(scatter.shades, scatter.shade.short))
    figure.update_layout(
        **{**plain, "margin": {**plain["margin"], "t": 34 + ROW_HEIGHT * num_rows, "l": 64}},
        xaxis={
            **GRID,
            "title": {"text": escape(scatter.axis.title) + _log(scatter.x)},
            **_axis(scatter.x, scatter.axis.key),
        },
        yaxis={**GRID, "title": {"text": escape(results.error_name) + _log(scatter.y)}, **_axis(scatter.y)},
    )
    return described(figure)


def _draw_labels(figure: Any, scatter: SearchScatter) -> None:
    """Numbers and names beside the points, which an invisible marker keeps at a distance."""
    ringed = {dot.point.name for dots in scatter.rings.values() for dot in dots}
    for label in scatter.labels:
        figure.add_scatter(
            x=[label.dot.x],
            y=[label.dot.error],
            mode="markers+text",
            marker={"size": 20 if label.dot.point.name in ringed else 12, "opacity": 0},
            text=[escape(label.text)],
            textposition=label.position,
            textfont={"size": 11},
            hoverinfo="skip",
            meta={"key": "front" if label.dot.is_front else "dominated"},
        )


def _draw_rules(figure: Any, scatter: SearchScatter) -> None:
    """The vertical lines with their names above the plot."""
    for rule in scatter.rules:
        colour = LIMIT_COLOUR if rule.is_limit else GREY
        if rule.is_limit and rule.arrow != "→":
            start, end = (max(rule.x, scatter.x.ends[0]), scatter.x.ends[1])
            figure.add_vrect(x0=start, x1=end, fillcolor=colour, opacity=0.06, line_width=0, layer="below")
        if not rule.arrow:
            line = {"color": colour, "width": 1.2, "dash": "solid" if rule.is_limit else "dash"}
            figure.add_vline(x=rule.x, line=line, layer="below")
        place, end_of_text = anchor(rule, scatter.x)
        figure.add_annotation(
            text=escape(rule.text),
            x=place,
            xref="x domain",
            xanchor=end_of_text,
            y=1,
            yref="paper",
            yanchor="bottom",
            yshift=1 + ROW_HEIGHT * rule.row,
            showarrow=False,
            font={"size": 11, "color": colour},
        )


def _log(scale: Scale) -> str:
    return " (log)" if scale.is_log else ""


def _axis(scale: Scale, key: str = "") -> dict[str, Any]:
    """Range and ticks; counts with the letters of their powers, other numbers as they are."""
    span = scale.high - scale.low  # plotly's own ticks are good below a decade and crowded above
    steps = {} if span < 0.7 else {"dtick": "D2" if span < 2 else 1}
    ticks = {"type": "log", **steps} if scale.is_log else {}
    form = "~s" if key not in ("", BYTES_KEY, LATENCY_KEY) else "~g"
    return {"range": [scale.low, scale.high], "tickformat": form, "automargin": True, **ticks}


def _bars(group: str, dots: Sequence[Dot]) -> dict[str, Any]:
    """How sure times and errors are, beneath the points."""
    x_bars, spreads = [dot.x_bar or (0.0, 0.0) for dot in dots], [dot.spread or 0.0 for dot in dots]
    look = {"color": "#b4bac3", "thickness": 1, "width": 0}
    x_ends = {"array": [bar[1] for bar in x_bars], "arrayminus": [bar[0] for bar in x_bars]}
    return {
        "x": [dot.x for dot in dots],
        "y": [dot.error for dot in dots],
        "mode": "markers",
        "marker": {"size": 1, "color": "#b4bac3"},
        "error_x": {"type": "data", "symmetric": False, **x_ends, **look},
        "error_y": {"type": "data", "array": spreads, **look},
        "hoverinfo": "skip",
        "meta": {"key": group},
    }


def _dots(group: str, dots: Sequence[Dot], results: SearchResults, scatter: SearchScatter) -> dict[str, Any]:
    """Candidates whose other cost is known, or those where it is not, which have the colour of their group."""
    front = group == "front"
    colours: dict[str, Any] = {"color": LOOKS[group].colour}
    if scatter.shade is not None and dots and dots[0].shade is not None:
        scale = scatter.shades
        places = [scale.place(dot.shade) for dot in dots if dot.shade is not None]
        colours = {"color": [rounded(place) for place in places], "coloraxis": "coloraxis"}
    return {
        "x": [dot.x for dot in dots],
        "y": [dot.error for dot in dots],
        "mode": "markers",
        "marker": {
            **colours,
            "symbol": ["diamond" if dot.is_predicted else "circle" for dot in dots],
            "size": 10 if front else 8,
            "opacity": 1.0 if front else 0.75,
            "line": {"color": "#111111" if front else "#ffffff", "width": 1.4 if front else 0.5},
        },
        "hovertext": [hover(dot.point, results) for dot in dots],
        "hoverinfo": "text",
        "meta": {"key": group},
    }


def _shades(scale: Scale, title: str) -> dict[str, Any]:
    """The scale of colours, with ticks at costs."""
    values, texts = axis_ticks(*scale.ends, scale.is_log)
    bar = {
        "title": {"text": escape(title), "side": "top", "font": {"size": 11}},
        "tickvals": [scale.place(value) for value in values],
        "ticktext": texts,
        "tickfont": {"size": 10},
        "thickness": 10,
        "outlinewidth": 0,
        "xpad": 6,
    }
    return {"cmin": 0, "cmax": 1, "colorscale": [list(step) for step in COLOUR_SCALE], "colorbar": bar}


def _ring(group: str, dots: Sequence[Dot], results: SearchResults) -> dict[str, Any]:
    """A sign around what the search chose, and around the optimum."""
    line = {"width": 1.0, "color": "#ffffff"} if group == "answer" else {"width": 2.0}
    return {
        "x": [dot.x for dot in dots],
        "y": [dot.error for dot in dots],
        "mode": "markers",
        "marker": {"symbol": SYMBOLS[group], "size": SIZES[group], "color": LOOKS[group].colour, "line": line},
        "hovertext": [hover(dot.point, results) for dot in dots],
        "hoverinfo": "text",
        "meta": {"key": group},
    }


def hover(point: SearchPoint, results: SearchResults) -> str:
    """Name, what became of it, costs, time, error, W."""
    place = 1 + next(index for index, other in enumerate(results.points) if other is point)
    lines = [f"<b>{escape(point.name)}</b>", f"{point.state}, place {place} of {len(results.points)}"]
    lines += [f"{value:,.0f} {escape(in_words(name))}" for name, value in point.costs.items()]
    if point.latency_ms is not None:
        ends = point.latency_interval_ms
        interval = "" if ends is None else f" ({significant(ends[0], 3)} to {significant(ends[1], 3)})"
        kind = "measured" if point.is_measured else "predicted"
        lines.append(f"{significant(point.latency_ms, 3)} ms{interval}, {kind}")
    if point.errors:
        step = max(point.errors)
        spread = "" if point.error_spread is None else f" ± {significant(point.error_spread, 2)}"
        lines.append(f"error {significant(point.errors[step])}{spread} at step {step:,}")
    if point.w is not None:
        lines.append(f"W {significant(point.w)}")
    return "<br>".join(lines)
