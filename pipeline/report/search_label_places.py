"""Where there is room for a text beside a point, as parts of the width and height of a plot."""

from __future__ import annotations

import math
from collections.abc import Sequence

CHARACTER_WIDTH, LINE_HEIGHT = 0.013, 0.05  # of what is written in the plot, as parts of its width and height
MARKER_WIDTH, MARKER_HEIGHT = 0.012, 0.02  # half of a point's
# Where a text may stand beside its point, best first: to the right or left, above or below, as parts of its extent.
POSITIONS = {
    "top center": (0, 1),
    "top right": (1, 1),
    "top left": (-1, 1),
    "middle right": (1, 0),
    "middle left": (-1, 0),
    "bottom center": (0, -1),
    "bottom right": (1, -1),
    "bottom left": (-1, -1),
}
Spot = tuple[float, float]
Box = tuple[float, float, float, float]


def box_of(text: str, spot: Spot, position: str) -> Box:
    """Left, right, lower and upper end of a text beside a point."""
    side, level = POSITIONS[position]
    width, gap = CHARACTER_WIDTH * len(text), MARKER_WIDTH * (1 if level == 0 else 0.7)
    left = spot[0] - width / 2 + side * (width / 2 + gap)
    low = spot[1] - LINE_HEIGHT / 2 + level * (LINE_HEIGHT / 2 + MARKER_HEIGHT)
    return left, left + width, low, low + LINE_HEIGHT


def room_for(
    text: str,
    spot: Spot,
    spots: Sequence[Spot],
    taken: Sequence[Box],
) -> tuple[str, Box] | None:
    """The position that covers no other text and the fewest points; none where each covers one or leaves the plot."""
    best, least = None, math.inf
    for position in POSITIONS:
        left, right, low, high = box = box_of(text, spot, position)
        if left < 0 or right > 1 or low < 0 or high > 1:
            continue
        if any(left < o[1] and o[0] < right and low < o[3] and o[2] < high for o in taken):
            continue
        num_covered = sum(left - MARKER_WIDTH < x < right + MARKER_WIDTH and low < y < high for x, y in spots)
        if num_covered < least:
            best, least = (position, box), num_covered
    return best
