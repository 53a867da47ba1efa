"""How candidates look in the plots of a search, by what became of them."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.report.search_costs import Front
from pipeline.report.search_results import SearchPoint

# Dark to light without the yellow that white swallows; cheap is dark.
COLOUR_SCALE = ((0.0, "#440154"), (0.25, "#3b528b"), (0.5, "#21918c"), (0.75, "#5ec962"), (1.0, "#b5de2b"))
LIMIT_COLOUR = "#a5231c"


@dataclass(frozen=True, kw_only=True)
class Look:
    """How a group of candidates looks.

    Args:
        label: what they are.
        sign: a character that stands for them in the legend.
        colour: as hexadecimal RGB.
    """

    label: str
    sign: str
    colour: str


LOOKS = {
    "answer": Look(label="answer", sign="★", colour="#d62728"),
    "optimum": Look(label="brute-force optimum", sign="□", colour="#111111"),
    "chosen": Look(label="chosen for a sweep", sign="○", colour="#e377c2"),
    "named": Look(label="architecture with a name", sign="⬠", colour="#111111"),
    "front": Look(label="on the Pareto front", sign="●", colour="#0b5cad"),
    "dominated": Look(label="tried, off the front", sign="●", colour="#93a7bf"),
    "given up": Look(label="given up early", sign="✕", colour="#b8860b"),
    "diverged": Look(label="diverged", sign="✕", colour="#8c564b"),
    "not tried": Look(label="not tried", sign="|", colour="#9a9fa7"),
}


def group_of(point: SearchPoint, front: Front) -> str:
    """The group of a candidate, one of `LOOKS`."""
    if point.state != "tried":
        return point.state
    return "front" if point.name in front.numbers else "dominated"
