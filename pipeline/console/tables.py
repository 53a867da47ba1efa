"""Tables for a terminal and for a page; lines of cells in, the first one is the head."""

from __future__ import annotations

from collections.abc import Sequence


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


def markdown_table(lines: Sequence[Sequence[str]]) -> str:
    """A table for a page."""
    shown = ["| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in line) + " |" for line in lines]
    shown.insert(1, "|" + "---|" * len(lines[0]))
    return "\n".join(shown)
