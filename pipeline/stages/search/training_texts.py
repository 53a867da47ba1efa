"""Whose texts candidates learn, and for how many steps at most."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pipeline.config.errors import UserError
from pipeline.config.jobs.ose_search import OseSearchJob
from pipeline.data.batches import BatchPlan
from pipeline.data.tokenise import load_tokenised
from pipeline.stages.job import OpenedJob
from pipeline.stages.sweep.train import pseudo_labels
from pipeline.stages.teacher.finished import TeacherResult


def training_tokens(job: OpenedJob[OseSearchJob], teacher: TeacherResult | None) -> Path:
    """Folder of the split that candidates are trained on: with the teacher's texts where the recipe wants them.

    Args:
        job: the job.
        teacher: the fine-tuned teacher; none where nobody needs one.

    Raises:
        UserError: steps beyond the training on these texts, whose lengths nobody knew before.
    """
    references, config = Path(job.task.tokens_folder), job.config
    if teacher is None or not config.search.distil:
        return references
    folder = pseudo_labels.run(job, teacher, config.recipe.sequence)
    if folder != references:
        check_steps(config, load_tokenised(folder, "train").lengths(), texts="the teacher's texts")
    return folder


def check_steps(config: OseSearchJob, lengths: Sequence[tuple[int, int]], *, texts: str = "the references") -> None:
    """Refuse steps beyond the training of a candidate: there the learning rate is 0, and no student ever gets there.

    Args:
        config: the job.
        lengths: source and target tokens of the examples that candidates are trained on.
        texts: what they learn, for people.

    Raises:
        UserError: as said.
    """
    train, steps = config.student, config.search.steps
    for seed in config.search.seed_list(config.seed):
        batches = BatchPlan(
            lengths=lengths,
            batch_tokens=train.batch_tokens,
            micro_batch_tokens=train.micro_batch_tokens,
            num_ranks=1,
            seed=seed,
        )
        num_steps = 0
        for epoch in range(train.epochs):
            num_steps += batches.num_steps(epoch)
            if num_steps >= steps[-1]:  # the rest need not be counted
                break
        else:
            raise UserError(
                f"search.steps={steps} in a training of {num_steps} steps on {texts} with seed {seed}",
                f"steps up to {num_steps}: candidates see the first steps of that training",
                "lower search.steps, or raise student.epochs",
            )
