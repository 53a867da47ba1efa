"""Tables for a terminal and for a page; lines of cells in, the first one is the head."""

from __future__ import annotations

from collections.abc import Sequence

SMALLEST, WHOLE = 0.0001, 1000.0  # below the one a number is not shown, from the other on without decimals


def text_table(lines: Sequence[Sequence[str]]) -> str:
    """A table for a terminal."""
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    shown = [
        "  ".join(
            cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]
    return "\n".join([shown[0], "-" * len(shown[0]), *shown[1:]])


def number_text(value: float | None, form: str, unit: str = "") -> str:
    """A number in a format, or a dash for none."""
    return "-" if value is None else f"{value:{form}}{unit}"


def plain_number(value: float | None) -> str:
    """A number of any size for people, without an exponent; a dash for none."""
    if value is None:
        return "-"
    if 0 < abs(value) < SMALLEST:
        return f"< {SMALLEST:g}" if value > 0 else f"> -{SMALLEST:g}"
    return f"{value:,.0f}" if abs(value) >= WHOLE or value == round(value) else f"{value:.4g}"


def markdown_table(lines: Sequence[Sequence[str]]) -> str:
    """A table for a page."""
    shown = ["| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in line) + " |" for line in lines]
    shown.insert(1, "|" + "---|" * len(lines[0]))
    return "\n".join(shown)
