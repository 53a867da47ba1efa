"""The points that a round learns from anew: mistakes, disagreement, chance, or all, of a pool of texts."""

from __future__ import annotations

import logging
import random
from collections.abc import Sequence
from pathlib import Path

import datasets

from pipeline.augmentation.examples import TextExample
from pipeline.config.errors import UserError
from pipeline.data.columns import source_texts
from pipeline.data.split_paths import SPLITS
from pipeline.data.text_records import text_records
from pipeline.evaluation.metrics import headline_each
from pipeline.stages.agora.answers import answers_of
from pipeline.stages.agora.development import development_examples
from pipeline.stages.agora.labeller_calls import AskedTeacher
from pipeline.stages.agora.plan import AgoraPlan
from pipeline.stages.evaluate import PREDICTIONS, read_predictions
from pipeline.stages.sweep.plan.students import StudentPlan

log = logging.getLogger(__name__)


class Points:
    """Chooses points of the pool that the settings name.

    Args:
        plan: what is decided.
        teacher: the labeller.
    """

    def __init__(self, plan: AgoraPlan, teacher: AskedTeacher) -> None:
        self.plan, self.teacher, self.agora = plan, teacher, plan.job.config.agora
        self.pool = _pool(plan)

    def of(self, round_number: int, candidate: StudentPlan) -> list[TextExample]:
        """The points of a round in the pool's order; unless all are wanted, at most `agora.max_points`.

        Args:
            round_number: of the round; other rounds draw others at random.
            candidate: the best of the round.
        """
        most, draw = self.agora.max_points, random.Random(f"{self.plan.job.config.seed} points {round_number}")
        rows = self._rows(candidate)
        if self.agora.points != "all" and len(rows) > most:
            rows = sorted(draw.sample(rows, most))
        log.info(
            f"round {round_number}: {len(rows)} points of {len(self.pool)} ({self.agora.points}, {self.agora.pool})"
        )
        return [self.pool[row] for row in rows]

    def _rows(self, candidate: StudentPlan) -> list[int]:
        if self.agora.points in ("all", "random"):
            return list(range(len(self.pool)))
        said, references = self._said(candidate)
        if self.agora.points == "mistakes":
            return self._worst(said, references)
        return self._worst(said, [[text] for text in self.teacher.answers(self.pool).texts])

    def _said(self, candidate: StudentPlan) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
        """What the candidate says of the pool, and the references; of the development set it has been asked already."""
        if self.agora.pool == "development":
            return read_predictions(candidate.folder / PREDICTIONS)
        said = answers_of(self.plan, candidate.packed_folder, candidate.key, self.pool, is_teacher=False).texts
        return said, [[one.target or ""] for one in self.pool]

    def _worst(self, said: Sequence[str], expected: Sequence[Sequence[str]]) -> list[int]:
        """Rows where a label is not the expected one; of texts the part with the lowest scores below perfect."""
        config = self.plan.job.config
        if config.task.facts.has_labels:
            return [row for row, text in enumerate(said) if text != expected[row][0]]
        scores = headline_each(config.task.metric, said, expected, config.task.metric_tokenizer)
        num = max(1, round(self.agora.worst * len(said)))
        ordered = sorted((score, row) for row, score in enumerate(scores) if score < 100.0)
        return sorted(row for _, row in ordered[:num])


def _pool(plan: AgoraPlan) -> list[TextExample]:
    job, agora = plan.job, plan.job.config.agora
    if agora.pool == "unlabelled":
        return _unlabelled(plan)
    examples = (
        development_examples(job.task, job.config) if agora.pool == "development" else job.task.split("train").examples
    )
    return _as_points(examples)


def texts_of_splits(plan: AgoraPlan) -> frozenset[str]:
    """Ids of the texts of all splits: nothing that is generated or found elsewhere may be one of them."""
    known = set()
    for split in SPLITS:
        known |= {one.id for one in _as_points(plan.job.task.split(split).examples)}
    return frozenset(known)


def _as_points(examples: datasets.Dataset) -> list[TextExample]:
    seconds = examples["second"][:] if "second" in examples.column_names else [None] * len(examples)
    rows = zip(examples["source"][:], seconds, examples["target"][:], strict=True)
    return [TextExample(source=source, second=second, target=target) for source, second, target in rows]


def _unlabelled(plan: AgoraPlan) -> list[TextExample]:
    """The texts of the file that the settings name, read as the task's sources are.

    Raises:
        UserError: a file that is read by no name of this kind, without the columns, or without a text.
    """
    config = plan.job.config
    path = Path(config.data.root) / config.agora.unlabelled
    records = text_records(path)
    if records is None:
        raise UserError(
            f"agora.unlabelled={path}", ".txt, .jsonl, .json, .csv or .tsv, also .gz or .xz", "set agora.unlabelled"
        )
    texts = source_texts(records, config.task, f"agora.unlabelled ({path})")
    found = [TextExample(source=source, second=second) for source, second in texts]
    known = texts_of_splits(plan)
    points = list({one.id: one for one in found if one.id not in known}.values())
    if len(points) < len(found):
        log.warning(
            f"{len(found) - len(points)} of {len(found)} texts of {path} are left out: they occur twice, or in a split "
            "of the task"
        )
    if not points:
        raise UserError(
            f"agora.unlabelled={path}, which holds no text that is in no split",
            "one text or more",
            "set agora.unlabelled",
        )
    return points
