"""Training-free scores of trials: what workers compute of untrained candidates, and where it lies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.cluster.ray_train import run_workers
from pipeline.config.jobs.ose_search import OseSearchJob
from pipeline.config.keys import config_hash
from pipeline.console.progress import ProgressBar
from pipeline.data.batch import Batch
from pipeline.data.tokenise import TokenisedSplit, load_tokenised
from pipeline.distillation.losses import cross_entropy_sum
from pipeline.evaluation.training_free import training_free_scores
from pipeline.models.load import load_model, load_teacher
from pipeline.stages.job import OpenedJob
from pipeline.stages.prepare_data import PreparedTask
from pipeline.stages.search.space import TrialPlan
from pipeline.stages.search.training_texts import training_tokens
from pipeline.stages.sweep.student.start import started_student
from pipeline.stages.teacher.finished import TeacherResult
from pipeline.stages.training import training_batches, worker_device
from pipeline.storage.sealed_json import found_json, read_sealed_json, sealed_json
from pipeline.training.collective import barrier, rank, world_size

if TYPE_CHECKING:
    from transformers import PreTrainedModel

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


def run(job: OpenedJob[OseSearchJob], trials: Sequence[TrialPlan], teacher: TeacherResult | None) -> None:
    """Compute the scores of trials that have none yet, from the texts that they are trained on.

    Args:
        job: the job.
        trials: all that are asked for.
        teacher: what students are cut from.
    """
    missing = [trial for trial in trials if found_json(trial.folder / FILE, "scores are computed again") is None]
    if not missing:
        return
    work = ScoresWork(
        config=job.config,
        task=job.task,
        teacher_result=teacher,
        trials=missing,
        training_tokens=training_tokens(job, teacher),
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
    mine, device = work.trials[rank() :: world_size()], worker_device(work.config.cluster)
    teacher = load_model(Path(work.teacher_result.folder), device) if work.teacher_result else None
    loss = partial(cross_entropy_sum, label_smoothing=work.config.student.label_smoothing)
    split = load_tokenised(work.training_tokens, "train")
    bar = ProgressBar("training-free scores", len(mine), shown=rank() == 0)
    for number, trial in enumerate(mine, 1):
        model, batch = _before_training(trial, work, split, teacher)
        sealed_json(trial.folder / FILE, training_free_scores(model, batch.to(device), loss))
        bar.update(number)
    bar.close()
    barrier()


def _before_training(
    trial: TrialPlan, work: ScoresWork, split: TokenisedSplit, teacher: PreTrainedModel | None
) -> tuple[PreTrainedModel, Batch]:
    """A candidate that has learned nothing, and the first batch that it would learn from."""
    config, tokenizer, device = work.config, work.task.tokenizer(), worker_device(work.config.cluster)
    scratch = None
    if trial.model is not None:
        scratch = load_teacher(trial.model, tokenizer, config.task, trial.seed, work.task.labels).to(device)
    known = teacher or scratch
    assert known is not None, "students have a teacher"
    batches = training_batches(split, config.student, config, tokenizer, known.config, trial.seed, sharded=False)
    if trial.student is not None:
        assert teacher is not None, "students have a teacher"
        return started_student(trial.student, teacher, batches), next(batches.steps(0))[0]
    assert scratch is not None, "a trial is a student or a model"
    return scratch, next(batches.steps(0))[0]


def read_scores(folder: Path) -> dict[str, float]:
    """The scores of the trial of a folder; none where nobody has asked for them.

    Raises:
        DamagedFileError: they are not what was written.
    """
    try:
        scores: dict[str, float] = read_sealed_json(folder / FILE)
    except FileNotFoundError:
        return {}
    return scores
