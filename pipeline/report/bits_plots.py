"""Expected loss against bytes of a search for bits: the front, the answer, the best of uniform bits, the budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from pipeline.report.bits_results import BitsPoint, BitsResults
from pipeline.report.plotly_look import GRID, described, frame
from pipeline.report.results import MIB
from pipeline.report.search_looks import LIMIT_COLOUR, LOOKS

HEIGHT = 420
X_TITLE, Y_TITLE = "MiB on disk", "expected loss"


@dataclass(frozen=True, kw_only=True)
class Series:
    """Points that look alike.

    Args:
        label: what they are.
        points: their places.
        colour: of their signs.
        signs: of matplotlib and of plotly.
        size: of a sign, in points.
        is_line: whether a line joins them.
    """

    label: str
    points: Sequence[BitsPoint]
    colour: str
    signs: tuple[str, str]
    size: int
    is_line: bool = False


def series_of(results: BitsResults) -> list[Series]:
    """What is drawn, what matters most last."""
    front, best = LOOKS["front"].colour, LOOKS["answer"].colour
    uniform = [] if results.uniform is None else [results.uniform]
    shown = [
        Series(label="front", points=results.front, colour=front, signs=("o", "circle"), size=6, is_line=True),
        Series(label="best of uniform bits", points=uniform, colour="#646b75", signs=("D", "diamond"), size=8),
        Series(label="answer", points=[results.answer], colour=best, signs=("*", "star"), size=13),
    ]
    return [one for one in shown if one.points]


def bits_figure(results: BitsResults) -> dict[str, Any]:
    """The interactive picture, as plotly describes it."""
    import plotly.graph_objects as go

    figure = go.Figure()
    for one in series_of(results):
        figure.add_scatter(
            x=[point.size_bytes / MIB for point in one.points],
            y=[point.loss for point in one.points],
            name=one.label,
            mode="lines+markers" if one.is_line else "markers",
            line={"color": one.colour, "width": 1.2},
            marker={"color": one.colour, "symbol": one.signs[1], "size": one.size},
            hovertext=[_hover(one.label, point) for point in one.points],
            hoverinfo="text",
        )
    figure.add_vline(x=results.budget_bytes / MIB, line={"color": LIMIT_COLOUR, "width": 1}, layer="below")
    figure.update_layout(
        **{**frame(HEIGHT), "showlegend": True},
        xaxis={**GRID, "title": {"text": X_TITLE}, "tickformat": "~g"},
        yaxis={**GRID, "title": {"text": Y_TITLE}, "tickformat": "~g", "automargin": True},
    )
    return described(figure)


def _hover(label: str, point: BitsPoint) -> str:
    name = escape(point.name)
    return f"{label}: {name}<br>{point.size_bytes:,} bytes ({point.size_bytes / MIB:.4f} MiB)<br>loss {point.loss:.4f}"


def bits_picture(results: BitsResults) -> Any:
    """The static picture, for people without scripts and for paper."""
    from matplotlib.figure import Figure  # no pyplot: no global state, no display

    figure = Figure(figsize=(9, 5.2), layout="constrained")
    axes = figure.subplots()
    for one in series_of(results):
        axes.plot(
            [point.size_bytes / MIB for point in one.points],
            [point.loss for point in one.points],
            color=one.colour,
            marker=one.signs[0],
            markersize=one.size,
            linestyle="-" if one.is_line else "none",
            linewidth=1.2,
            label=one.label,
        )
    axes.axvline(results.budget_bytes / MIB, color=LIMIT_COLOUR, linewidth=1, zorder=1, label="budget")
    axes.set_xlabel(X_TITLE)
    axes.set_ylabel(Y_TITLE)
    axes.grid(alpha=0.25)
    axes.set_title(results.title, fontsize=11)
    figure.legend(loc="outside lower center", ncols=4, fontsize=8, frameon=False)
    return figure
