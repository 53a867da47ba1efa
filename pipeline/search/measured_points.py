"""Which candidates are measured where not all can be, and how long all would take."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence

from pipeline.config.errors import UserError


def points_to_measure(candidates: Sequence[Mapping[str, float]], num: int) -> tuple[int, ...]:
    """Places of the candidates to measure: extremes first, then evenly along the order.

    The cheapest and the dearest; for every parameter the cheapest candidate with its largest value and the dearest with
    its smallest, where the others are as different as they can be; then, again and again, the middle of the largest
    gap. The same candidates give the same places, and a larger number gives more of them, none instead.

    Args:
        candidates: the parameters of every candidate by name, cheapest first.
        num: how many may be measured.

    Returns:
        rising places; of all candidates where there are no more than `num`.

    Raises:
        UserError: no candidate, or a number below 1.
    """
    if not candidates:
        raise UserError("no candidate to measure", "one or more", "change the space that is searched")
    if num < 1:
        raise UserError(f"{num} candidates to measure", "1 or more", "set a larger number")
    chosen: dict[int, None] = {}
    for place in _extremes(candidates):
        if len(chosen) < num:
            chosen.setdefault(place)
    while len(chosen) < min(num, len(candidates)):
        places = sorted(chosen)
        # The first and the last place are among them: of one candidate there is nothing left to choose.
        before, after = max(itertools.pairwise(places), key=lambda gap: gap[1] - gap[0])
        chosen[(before + after) // 2] = None
    return tuple(sorted(chosen))


def measuring_seconds(seconds: Sequence[float], num_left: int) -> float:
    """How long it will take to measure so many more candidates, from how long those measured so far took.

    Their mean: the first ones are spread over the order, cheap and dear.

    Args:
        seconds: of every candidate that was measured, making its files included.
        num_left: candidates that are not measured yet.

    Raises:
        UserError: none was measured.
    """
    if not seconds:
        raise UserError("an estimate without a measured candidate", "one or more", "measure some candidates first")
    return num_left * sum(seconds) / len(seconds)


def check_measurable(num_left: int, seconds: float, max_seconds: float, change: str) -> None:
    """Refuse to measure a space that is too large, and say how long it would take.

    Args:
        num_left: candidates that are not measured yet.
        seconds: what `measuring_seconds` says of them.
        max_seconds: that may be spent.
        change: what the user can do, for the message.

    Raises:
        UserError: it would take longer.
    """
    if seconds > max_seconds:
        raise UserError(
            f"{num_left} candidates to measure, which takes {duration(seconds)}",
            f"what takes {duration(max_seconds)}",
            change,
        )


def duration(seconds: float) -> str:
    """A time as people say it: seconds, minutes, hours or days."""
    units = [("days", 86400.0), ("hours", 3600.0), ("minutes", 60.0)]
    for unit, size in units:
        if seconds >= 2 * size:
            return f"about {seconds / size:.0f} {unit}"
    return f"about {seconds:.0f} seconds"


def _extremes(candidates: Sequence[Mapping[str, float]]) -> Iterator[int]:
    yield 0
    yield len(candidates) - 1
    places = range(len(candidates))
    for name in candidates[0]:
        values = [candidate[name] for candidate in candidates]
        if min(values) < max(values):
            yield next(place for place in places if values[place] == max(values))
            yield next(place for place in reversed(places) if values[place] == min(values))
