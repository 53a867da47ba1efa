"""A page of tables and curves for jobs whose results are few numbers: a pre-training, rounds of Agora."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pipeline.console.tables import markdown_table
from pipeline.report.curves import Curve
from pipeline.report.document import Chart, document, picture
from pipeline.report.interactive_plots import curves_figure
from pipeline.report.pareto import styles
from pipeline.report.results import Results, Row
from pipeline.report.static_plots import DPI, curves_plot


@dataclass(frozen=True, kw_only=True)
class Section:
    """A table of a page.

    Args:
        title: of it.
        lines: header and rows.
        note: what to know of it.
        kind: numbers stand to the right, words to the left; dated: words with a time in the second column, on one line.
    """

    title: str
    lines: Sequence[Sequence[str]]
    note: str = ""
    kind: Literal["numbers", "words", "words dated"] = "numbers"

    @property
    def anchor(self) -> str:
        """Its name in addresses."""
        return self.title.lower().replace(" ", "-")


@dataclass(frozen=True, kw_only=True)
class PlainReport:
    """What a page holds.

    Args:
        title: of the page.
        summary: what was found, in sentences.
        facts: what was run, as name -> text.
        sections: tables in their order.
        curves: by optimiser step, drawn after the first table where one has two points.
        environment: with what, as name -> text.
        config: the resolved configuration as YAML.
    """

    title: str
    summary: Sequence[str]
    facts: Mapping[str, str]
    sections: Sequence[Section]
    curves: Sequence[Curve] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    config: str = ""


def write_plain_report(report: PlainReport, folder: Path) -> None:
    """`report.html`, `results.md`, `config.yaml`, and `curves.png` if there are any, in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    results, charts = _drawn(report), list[Chart]()
    if any(len(curve.points) > 1 for curve in report.curves):
        path = folder / "curves.png"
        curves_plot(results).savefig(path, dpi=DPI)
        caption = "By optimiser step."
        charts.append(Chart(name="curves", caption=caption, figure=curves_figure(results), picture=picture(path)))
    values = {"results": report, "charts": charts, "looks": styles(results) if charts else {}}
    page = document("plain.html.j2", charts=charts, styles=(), values=values)
    (folder / "report.html").write_text(page, encoding="utf-8")
    (folder / "results.md").write_text(_markdown(report), encoding="utf-8")
    (folder / "config.yaml").write_text(report.config, encoding="utf-8")


def _drawn(report: PlainReport) -> Results:
    """The curves and their models, as plots take them."""
    rows = [Row(name=name, scores={}) for name in dict.fromkeys(curve.name for curve in report.curves)]
    return Results(rows=rows, columns={}, headline="", title=report.title, split="", curves=report.curves)


def _markdown(report: PlainReport) -> str:
    parts = [f"# {report.title}", *report.summary]
    for section in report.sections:
        parts += [f"## {section.title}", markdown_table(section.lines), *([section.note] if section.note else [])]
    return "\n\n".join(parts) + "\n"
