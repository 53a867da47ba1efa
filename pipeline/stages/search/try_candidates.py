"""What the workers of a group of trials do: train it on the same batches, and look at errors on the way."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.config.jobs.ose_search import OseSearchJob
from pipeline.data.tokenise import load_tokenised
from pipeline.models.load import load_model, load_teacher
from pipeline.search.cover import Cost, w_coefficient
from pipeline.stages.evaluate import validate
from pipeline.stages.prepare_data import PreparedTask
from pipeline.stages.search.seen import add_error, add_failure
from pipeline.stages.search.space import TrialPlan
from pipeline.stages.search.trial_learners import Surroundings, TrialLearner
from pipeline.stages.search.trial_run import trial_run
from pipeline.stages.sweep.student.objectives import teacher_pass
from pipeline.stages.teacher.finished import TeacherResult
from pipeline.stages.training import (
    num_training_steps,
    train_with_checkpoints,
    training_batches,
    worker_device,
)
from pipeline.tracking.run import NoOpRun, Run
from pipeline.training.collective import rank
from pipeline.training.loop import NoHooks, Progress

FULL_ERROR = 100.0  # of which a score in percent is taken away
LEAST_ERROR = {"loss": 1e-6, "score": 0.01}  # W divides by errors; less cannot be told from nothing

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class TrialsWork:
    """What the workers of a group of trials are sent.

    Args:
        config: the job.
        task: its data.
        name: of the group, for people.
        teacher_result: the fine-tuned teacher; none where nobody needs one.
        trials: the group, in the order of its checkpoints.
        waiting: keys of trials that take part no more, because they were given up or are known.
        costs: point -> its costs, for W.
        maximum: the costs of T.
        until: the optimiser step to stop at.
        training_tokens: folder of the split that they are trained on.
        checkpoints: folder of the group's checkpoints.
        parent_run_id: run of the search.
    """

    config: OseSearchJob
    task: PreparedTask
    name: str
    teacher_result: TeacherResult | None
    trials: list[TrialPlan]
    waiting: frozenset[str]
    costs: Mapping[str, Cost]
    maximum: Cost
    until: int
    training_tokens: Path
    checkpoints: Path
    parent_run_id: str


def try_candidates(work: TrialsWork) -> None:
    """Worker: train this rank's share of a group of trials up to a step; rank 0 writes down what is seen."""
    config, train, plans = work.config, work.config.student, work.trials
    tokenizer, device = work.task.tokenizer(), worker_device(config.cluster)
    teacher = load_model(Path(work.teacher_result.folder), device) if work.teacher_result else None
    if teacher is None:
        model = plans[0].model
        assert model is not None, "students have a teacher"
        any_config = load_teacher(model, tokenizer, config.task, plans[0].seed, work.task.labels).config
    else:
        any_config = teacher.config
    split = load_tokenised(work.training_tokens, "train")
    batches, unsharded = (
        training_batches(split, train, config, tokenizer, any_config, plans[0].seed, sharded)
        for sharded in (True, False)
    )
    surroundings = Surroundings(
        config=config,
        labels=work.task.labels,
        teacher=teacher,
        tokenizer=tokenizer,
        unsharded_batches=unsharded,
        num_steps=num_training_steps(batches, train),
    )
    with ExitStack() as stack:
        runs = [stack.enter_context(_run_of(plan, work)) for plan in plans]
        tried = [surroundings.learner(plan, run) for plan, run in zip(plans, runs, strict=True)]
        learners = [one.learner for one in tried]
        for plan, learner in zip(plans, learners, strict=True):
            if plan.key in work.waiting:
                learner.stop("takes part no more")
            elif learner.failure is not None and rank() == 0:
                add_failure(plan.folder, 0, learner.failure)
        train_with_checkpoints(
            learners,
            batches,
            work.until,
            train,
            stage=work.name,
            folder=work.checkpoints,
            device=device,
            teacher_pass=None
            if teacher is None
            else teacher_pass(teacher, [one.objective for one in learners], config.cluster.precision),
            hooks=_LookAtErrors(work=work, tried=tried),
        )


@dataclass(frozen=True, kw_only=True)
class _LookAtErrors(NoHooks):
    """After the steps that the search compares, validates every trial that is left; notes who leaves, and when."""

    work: TrialsWork
    tried: Sequence[TrialLearner]
    failed: set[str] = field(default_factory=set)  # keys of those of which it is written

    def after_step(self, progress: Progress, losses: dict[str, float]) -> None:
        """See `Hooks.after_step`."""
        step, config = progress.step, self.work.config
        self._note_failures(step)
        if step not in config.search.steps:
            return
        for one in self.tried:
            if not one.learner.active:
                continue
            with_scores = config.search.measure == "score"
            found = validate(one.model_after(step), self.work.task, config, with_scores=with_scores)
            error = FULL_ERROR - found["score"] if with_scores else found["loss"]
            error = max(error, LEAST_ERROR[config.search.measure]) if math.isfinite(error) else math.inf
            w = w_coefficient(self.work.costs[one.plan.point], self.work.maximum, error)
            values = {f"validation_{name}": value for name, value in found.items()}
            one.learner.listener.metrics({**values, "error": error, "w": w}, step)
            if rank() == 0:
                add_error(one.plan.folder, step, error)

    def _note_failures(self, step: int) -> None:
        for one in self.tried:
            if one.learner.failure is not None and one.plan.key not in self.failed:
                self.failed.add(one.plan.key)
                if rank() == 0:
                    add_failure(one.plan.folder, step, one.learner.failure)


def _run_of(plan: TrialPlan, work: TrialsWork) -> Run:
    """The run of a trial; nothing is written of one that takes part no more."""
    if plan.key in work.waiting:
        return NoOpRun()
    return trial_run(plan, work.config, work.task.fingerprint, work.costs[plan.point], work.parent_run_id)
