"""Training-free scores of trials: what workers compute of untrained candidates, and where it lies."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.cluster.ray_train import run_workers
from pipeline.config.errors import UserError
from pipeline.config.jobs.ose_search import OseSearchJob
from pipeline.config.keys import config_hash
from pipeline.console.progress import ProgressBar
from pipeline.data.batch import Batch
from pipeline.data.tokenise import load_tokenised
from pipeline.distillation.losses import cross_entropy_sum
from pipeline.evaluation.training_free import SCORES, training_free_scores
from pipeline.models.load import load_model, load_teacher
from pipeline.stages.job import OpenedJob
from pipeline.stages.prepare_data import PreparedTask
from pipeline.stages.search.space import TrialPlan
from pipeline.stages.sweep.student.start import started_student
from pipeline.stages.teacher.finished import TeacherResult
from pipeline.stages.training import training_batches, worker_device
from pipeline.storage.atomic import atomic_json
from pipeline.training.collective import barrier, rank, world_size

if TYPE_CHECKING:
    pass

FILE = "scores.json"


@dataclass(frozen=True, kw_only=True)
class ScoresWork:
    """What these workers are sent.

    Args:
        config: the job.
        task: its data.
        teacher_result: the fine-tuned teacher that students are cut from; none of models from scratch.
        trials: those whose scores are missing.
        training_tokens: folder of the split whose first batch they see.
    """

    config: OseSearchJob
    task: PreparedTask
    teacher_result: TeacherResult | None
    trials: Sequence[TrialPlan]
    training_tokens: Path


def run(
    job: OpenedJob[OseSearchJob], trials: Sequence[TrialPlan], teacher: TeacherResult | None, training_tokens: Path
) -> None:
    """Compute the scores of trials that have none yet.

    Args:
        job: the job.
        trials: all that are asked for.
        teacher: what students are cut from.
        training_tokens: folder of the split that they are trained on.
    """
    missing = [trial for trial in trials if not (trial.folder / FILE).is_file()]
    if not missing:
        return
    work = ScoresWork(
        config=job.config,
        task=job.task,
        teacher_result=teacher,
        trials=missing,
        training_tokens=training_tokens,
    )
    run_workers(
        measure_scores,
        work,
        job.config.cluster,
        name=f"scores-{config_hash([trial.key for trial in missing])}",
        storage_path=job.storage.root / "ray",
    )


def measure_scores(work: ScoresWork) -> None:
    """Worker: the scores of this rank's share of the trials, each in a file of its own."""
    config, device, mine = work.config, worker_device(work.config.cluster), work.trials[rank() :: world_size()]
    teacher = load_model(Path(work.teacher_result.folder), device) if work.teacher_result else None
    loss = partial(cross_entropy_sum, label_smoothing=config.student.label_smoothing)
    split, tokenizer = load_tokenised(work.training_tokens, "train"), work.task.tokenizer()
    bar = ProgressBar("training-free scores", len(mine), shown=rank() == 0)
    for number, trial in enumerate(mine, 1):
        if trial.student is None:
            assert trial.model is not None
            model = load_teacher(trial.model, tokenizer, config.task, trial.seed, work.task.labels).to(device)
        batches = training_batches(
            split, config.student, config, tokenizer, (teacher or model).config, trial.seed, sharded=False
        )
        batch: Batch = next(batches.steps(0))[0].to(device)
        if trial.student is not None:
            assert teacher is not None, "students have a teacher"
            model = started_student(trial.student, teacher, batches)
        atomic_json(trial.folder / FILE, training_free_scores(model, batch, loss))
        bar.update(number)
    bar.close()
    barrier()


def read_scores(folder: Path) -> dict[str, float]:
    """The scores of the trial of a folder; none where nobody has asked for them.

    Raises:
        UserError: a damaged file.
    """
    file = folder / FILE
    if not file.is_file():
        return {}
    try:
        written = json.loads(file.read_text())
        return {name: float(written[name]) for name in SCORES}
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{file}: {type(error).__name__}: {error}",
            "a file as a search has written it",
            "remove the file: the search then computes the scores again",
        ) from None
