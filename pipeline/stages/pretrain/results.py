"""What is known of pre-trained models in the end: scores on held-out texts, and when one was as good as the other."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.console.tables import number_text
from pipeline.stages.pretrain.curve import Curve, Point, first_at
from pipeline.storage.sealed_json import read_sealed_json

RESULT, CURVE, TEACHER_SCORES = "result.json", "curve.json", "teacher.json"
MAX_EXPONENT = 700.0  # beyond it a number holds no exponential
MIB = 2**20


@dataclass(frozen=True, kw_only=True)
class HeldOut:
    """How well a model knows the hidden tokens of texts that it has not seen.

    Args:
        loss: mean cross-entropy of a hidden token.
        masked_accuracy: hidden tokens that are the likeliest, in percent.
    """

    loss: float
    masked_accuracy: float

    @property
    def perplexity(self) -> float:
        """Of a hidden token."""
        return math.exp(self.loss) if self.loss < MAX_EXPONENT else math.inf

    def metrics(self, prefix: str) -> dict[str, float]:
        """The same as curves of a run."""
        values = {"loss": self.loss, "masked_accuracy": self.masked_accuracy, "perplexity": self.perplexity}
        return {f"{prefix}_{name}": value for name, value in values.items()}

    @classmethod
    def read(cls, file: Path) -> HeldOut:
        """What was written of a teacher."""
        return cls(**read_sealed_json(file))


@dataclass(frozen=True, kw_only=True)
class SmallResult:
    """A pre-trained model.

    Args:
        name: with the teacher, or without.
        folder: where it lies, with its tokenizer.
        size_bytes: of its fp32 weights on disk.
        num_parameters: of it.
        num_steps: optimiser steps of its training.
        held_out: scores on the reported split.
        seconds: of its training.
        tokens_per_second: source tokens of its training.
        run_id: its run in MLflow.
    """

    name: str
    folder: str
    size_bytes: int
    num_parameters: int
    num_steps: int
    held_out: HeldOut
    seconds: float
    tokens_per_second: float
    run_id: str | None

    @classmethod
    def read(cls, file: Path) -> SmallResult:
        """What the workers wrote."""
        values = read_sealed_json(file)
        return cls(**{**values, "held_out": HeldOut(**values["held_out"])})


@dataclass(frozen=True, kw_only=True)
class EqualLoss:
    """When each model first had the validation loss that the weaker of them has at its end.

    Args:
        loss: that one.
        points: name of a model -> the first point at which it was as good.
    """

    loss: float
    points: dict[str, Point]

    @classmethod
    def of(cls, curves: Mapping[str, Sequence[Point]]) -> EqualLoss:
        """Of validated points, by rising step, the last of them after the last step."""
        last = {name: points[-1].loss for name, points in curves.items()}
        loss = max(value for value in last.values() if value is not None)
        found = {name: first_at(points, loss) for name, points in curves.items()}
        return cls(loss=loss, points={name: point for name, point in found.items() if point is not None})


@dataclass(frozen=True, kw_only=True)
class Pretrained:
    """A pre-training that is done.

    Args:
        teacher: scores of the teacher on the reported split.
        teacher_parameters: of it.
        teacher_bytes: of its fp32 weights.
        models: the models by name.
        curves: name -> what was seen on the validation split.
    """

    teacher: HeldOut
    teacher_parameters: int
    teacher_bytes: int
    models: dict[str, SmallResult]
    curves: dict[str, list[Point]]

    @classmethod
    def read(cls, folder: Path, names: Sequence[str], teacher_parameters: int, teacher_bytes: int) -> Pretrained:
        """What the workers left in a folder."""
        return cls(
            teacher=HeldOut.read(folder / TEACHER_SCORES),
            teacher_parameters=teacher_parameters,
            teacher_bytes=teacher_bytes,
            models={name: SmallResult.read(folder / name / RESULT) for name in names},
            curves={name: Curve(folder / name / CURVE).validated for name in names},
        )

    @property
    def equal(self) -> EqualLoss:
        """When the models were equally good."""
        return EqualLoss.of(self.curves)

    def document(self) -> dict[str, Any]:
        """For the last line of the job."""
        scores = {"teacher": self.teacher, **{name: one.held_out for name, one in self.models.items()}}
        equal = self.equal
        return {
            "masked_accuracy": {name: one.masked_accuracy for name, one in scores.items()},
            "perplexity": {name: one.perplexity for name, one in scores.items()},
            "equal_loss": equal.loss,
            "steps_to_equal_loss": {name: point.step for name, point in equal.points.items()},
            "seconds_to_equal_loss": {name: round(point.seconds, 3) for name, point in equal.points.items()},
            "seconds": {name: round(one.seconds, 3) for name, one in self.models.items()},
            "tokens_per_second": {name: round(one.tokens_per_second, 1) for name, one in self.models.items()},
        }


def result_table(done: Pretrained) -> list[list[str]]:
    """Header, the teacher, then the models."""
    head = ["model", "masked accuracy %", "perplexity", "parameters", "MiB", "steps", "seconds", "tokens/s"]
    lines = [[*head, "steps to equal loss", "seconds to equal loss"]]
    rows: list[tuple[str, HeldOut, int, int, SmallResult | None]]
    rows = [("teacher", done.teacher, done.teacher_parameters, done.teacher_bytes, None)]
    rows += [(name, one.held_out, one.num_parameters, one.size_bytes, one) for name, one in done.models.items()]
    for name, scores, number, size, one in rows:
        point = done.equal.points.get(name)
        lines.append(
            [
                name,
                f"{scores.masked_accuracy:.2f}",
                f"{scores.perplexity:,.2f}",
                f"{number:,}",
                f"{size / MIB:,.2f}",
                number_text(one.num_steps if one else None, "d"),
                number_text(one.seconds if one else None, ",.1f"),
                number_text(one.tokens_per_second if one else None, ",.0f"),
                number_text(point.step if point else None, "d"),
                number_text(point.seconds if point else None, ",.1f"),
            ]
        )
    return lines


def curve_table(done: Pretrained) -> list[list[str]]:
    """Header and a line for every validated step: losses and accuracies of all models."""
    names = list(done.curves)
    lines = [["step", *(f"{name}: {what}" for name in names for what in ("loss", "accuracy %", "seconds"))]]
    by_step = {name: {point.step: point for point in points} for name, points in done.curves.items()}
    for step in sorted(set().union(*by_step.values())):
        cells = [str(step)]
        for name in names:
            point = by_step[name].get(step)
            cells += [
                number_text(point.loss if point else None, ".4f"),
                number_text(point.masked_accuracy if point else None, ".2f"),
                number_text(point.seconds if point else None, ",.1f"),
            ]
        lines.append(cells)
    return lines
