"""One page that needs nothing beside itself: style, scripts and pictures lie inside; nothing else runs or loads."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.report.columns import Cell

HERE = Path(__file__).parent


@dataclass(frozen=True, kw_only=True)
class Chart:
    """An interactive figure and the picture that stands for it without scripts and on paper."""

    name: str
    caption: str
    figure: dict[str, Any]
    picture: str


@dataclass(frozen=True, kw_only=True)
class Line:
    """A line of a sortable table.

    Args:
        name: its first cell.
        kind: its class in the style.
        hint: what is shown where the mouse rests on the name; empty: nothing.
        colour: of the dot before the name; empty: none.
        cells: the others.
    """

    name: str
    kind: str
    hint: str
    colour: str
    cells: Sequence[Cell]


def picture(path: Path) -> str:
    """A picture as an address that holds it."""
    return f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"


def document(template: str, *, charts: Sequence[Chart], styles: Sequence[str], values: dict[str, Any]) -> str:
    """A page.

    Args:
        template: a file beside this one that extends `page.html.j2`.
        charts: all that are on it; without any the library that draws them is left out.
        styles: further files beside `report.css`.
        values: what the template shows.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from plotly.offline import get_plotlyjs

    templates = Environment(loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    texts = [get_plotlyjs() if charts else "", (HERE / "report.js").read_text(encoding="utf-8")]
    scripts = [text for text in texts if text]
    return templates.get_template(template).render(
        style="".join((HERE / name).read_text(encoding="utf-8") for name in ("report.css", *styles)),
        scripts=scripts,
        policy=_policy(scripts),
        **values,
    )


def _policy(scripts: Sequence[str]) -> str:
    """Lets a browser run these scripts and no other, and load nothing."""
    digests = (base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in scripts)
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests)
    return f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data: blob:"
