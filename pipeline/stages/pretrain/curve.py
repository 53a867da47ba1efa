"""What is seen of a model while it is pre-trained: held-out losses by step and by seconds of its own training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from pipeline.storage.sealed_json import found_json, sealed_json


@dataclass(frozen=True, kw_only=True)
class Point:
    """A model after an optimiser step.

    Args:
        step: the number of the step.
        seconds: of training so far, the teacher's passes counted for whom they are made.
        loss: of the hidden tokens of the validation split; none where nobody looked.
        masked_accuracy: of the same, in percent.
    """

    step: int
    seconds: float
    loss: float | None = None
    masked_accuracy: float | None = None


class Curve:
    """The points of a model in a file; a step that is done again after a crash replaces what was seen of it.

    Args:
        file: where they lie.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        found = found_json(file, "the curve begins where training goes on") or []
        self._points = {point.step: point for point in (Point(**values) for values in found)}

    @property
    def points(self) -> list[Point]:
        """By rising step."""
        return [self._points[step] for step in sorted(self._points)]

    @property
    def validated(self) -> list[Point]:
        """Those at which somebody looked at the loss."""
        return [point for point in self.points if point.loss is not None]

    def seconds_at(self, step: int) -> float:
        """Of training up to a step, or to the last one before it that is known."""
        return max((point.seconds for point in self.points if point.step <= step), default=0.0)

    def add(self, point: Point, *, is_writing: bool) -> None:
        """A new point; those of later steps belong to a run that was lost.

        Args:
            point: what was seen.
            is_writing: whether this process writes the file.
        """
        kept = {step: known for step, known in self._points.items() if step < point.step}
        self._points = {**kept, point.step: point}
        if is_writing:
            sealed_json(self.file, [asdict(one) for one in self.points])


def looked_at(num_steps: int, every: int) -> list[int]:
    """The steps after which a model is looked at: every so many of them, and the last."""
    return sorted({*range(every, num_steps + 1, every), num_steps})


def first_at(points: Sequence[Point], loss: float) -> Point | None:
    """The first point whose loss is no higher than that; none if none is.

    Args:
        points: validated ones, by rising step.
        loss: the loss to get to.
    """
    return next((point for point in points if point.loss is not None and point.loss <= loss), None)
