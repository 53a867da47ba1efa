"""How every interactive picture looks, as plotly describes it."""

from __future__ import annotations

from typing import Any

FONT = {"family": "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif", "size": 12, "color": "#22262b"}
GRID = {"gridcolor": "#e7e9ec", "zeroline": False, "linecolor": "#c8ccd2", "ticks": "outside", "tickcolor": "#c8ccd2"}


def frame(height: int) -> dict[str, Any]:
    """The layout of a picture so many pixels high, without its axes."""
    return {
        "height": height,
        "autosize": True,
        "template": "none",
        "font": FONT,
        "showlegend": False,
        "margin": {"l": 56, "r": 16, "t": 36, "b": 48},
        "hoverlabel": {"align": "left", "bgcolor": "#ffffff"},
    }


def described(figure: Any) -> dict[str, Any]:
    """A figure of plotly as plain data."""
    data: dict[str, Any] = figure.to_plotly_json()
    return data
