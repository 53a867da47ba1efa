"""The report of a search for bits as one page that needs nothing beside itself, with its picture beside it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.report.bits_plots import bits_figure, bits_picture
from pipeline.report.bits_results import BitsResults, ModuleBits
from pipeline.report.columns import Column, cells, number_column
from pipeline.report.document import Chart, Line, document, picture
from pipeline.report.results import MIB

DPI, PLOT = 120, "loss_vs_size"


def write_bits_report(results: BitsResults, folder: Path) -> None:
    """`report.html`, `loss_vs_size.png` and `config.yaml` of a search for bits in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    bits_picture(results).savefig(folder / f"{PLOT}.png", dpi=DPI)
    caption = "Expected loss against bytes: the best assignments of some budgets. The vertical line is the budget."
    chart = Chart(name=PLOT, caption=caption, figure=bits_figure(results), picture=picture(folder / f"{PLOT}.png"))
    columns = module_columns(results.modules)
    values: dict[str, Any] = {
        "results": results,
        "summary": bits_summary(results),
        "chart_of_front": chart,
        "front": front_rows(results),
        "header": columns,
        "lines": [_line(module, columns) for module in results.modules],
    }
    page = document("bits.html.j2", charts=[chart], styles=["search.css"], values=values)
    (folder / "report.html").write_text(page, encoding="utf-8")
    (folder / "config.yaml").write_text(results.config, encoding="utf-8")


def bits_summary(results: BitsResults) -> list[str]:
    """The outcome in sentences."""
    answer, uniform, budget = results.answer, results.uniform, f"{results.budget_bytes / MIB:.4g} MiB"
    found = (
        f"Answer: {answer.name}, {answer.size_bytes:,} bytes of at most {results.budget_bytes:,} ({budget}), expected "
        f"loss {answer.loss:.4f}; {results.loss_before:.4f} in full precision."
    )
    beside = f"No uniform bits fit into {budget}."
    if uniform is not None:
        beside = (
            f"The best of uniform bits within {budget}: {uniform.name}, {uniform.size_bytes:,} bytes, expected loss "
            f"{uniform.loss:.4f}."
        )
    return [found, beside, f"{results.words[:1].upper()}{results.words[1:]}."]


def front_rows(results: BitsResults) -> list[list[str]]:
    """Head and lines: the front, the answer, the best of uniform bits."""
    lines = [["bits", "bytes", "MiB on disk", "expected loss", "note"]]
    shown = [*((point, "") for point in results.front), (results.answer, "answer")]
    if results.uniform is not None:
        shown.append((results.uniform, "best of uniform bits"))
    for point, note in shown:
        size = f"{point.size_bytes / MIB:.4f}"
        lines.append([point.name, f"{point.size_bytes:,}", size, f"{point.loss:.4f}", note])
    return lines


def module_columns(modules: Sequence[ModuleBits]) -> list[Column[ModuleBits]]:
    """Bits and bytes of a group of modules, what they cost, and what other bits would."""
    counts = sorted({count for module in modules for count in module.rises})
    return [
        number_column("bits", "of each weight", lambda one: one.bits, "{:g}"),
        number_column("bytes", "of all weights with their scales", lambda one: one.num_bytes, "{:,.0f}"),
        number_column("rise", "of the loss at these bits", lambda one: _rise(one, one.bits), "{:+.4f}"),
        *(_rise_column(count) for count in counts),
    ]


def _rise_column(count: float) -> Column[ModuleBits]:
    meaning = f"of the loss, if they alone had {count:g} bits; - where the model broke"
    return number_column(f"at {count:g} bits", meaning, lambda one: _rise(one, count), "{:+.4f}")


def _rise(module: ModuleBits, count: float) -> float | None:
    rise = module.rises.get(count)
    return rise if rise is not None and math.isfinite(rise) else None


def _line(module: ModuleBits, columns: Sequence[Column[ModuleBits]]) -> Line:
    name, *others = module.modules
    more = f" and {len(others)} more" if others else ""
    hint = ", ".join(module.modules) if others else ""
    return Line(name=f"{name}{more}", kind="candidate", hint=hint, colour="", cells=cells(module, columns))
