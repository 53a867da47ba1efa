"""What the workers of a group of trials do: train it on the same batches, and look at errors on the way."""

from __future__ import annotations

import copy
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.config.changes import changed
from pipeline.config.jobs.ose_search import OseSearchJob
from pipeline.config.load import to_yaml
from pipeline.config.sections.recipe import DECODER_TERMS
from pipeline.data.batches import TrainingBatches
from pipeline.data.tokenise import load_tokenised
from pipeline.distillation.objective import DistillationObjective, TaskObjective
from pipeline.models.load import load_model, load_teacher, set_dropout
from pipeline.search.cover import Cost, w_coefficient
from pipeline.stages.evaluate import validate
from pipeline.stages.prepare_data import PreparedTask
from pipeline.stages.runs import common_params, common_tags, start_run
from pipeline.stages.search.seen import add_error, add_failure
from pipeline.stages.search.space import TrialPlan
from pipeline.stages.sweep.student.build import bit_schedule, planned_student
from pipeline.stages.sweep.student.objectives import teacher_pass
from pipeline.stages.sweep.student.start import student_learner
from pipeline.stages.teacher.fine_tune import TeacherResult
from pipeline.stages.training import (
    make_engine,
    num_training_steps,
    train_with_checkpoints,
    training_batches,
    worker_device,
)
from pipeline.tracking.run import NoOpRun, Run
from pipeline.tracking.tracker import RunSpec
from pipeline.training.collective import rank
from pipeline.training.loop import Learner, NoHooks, Objective, Progress
from pipeline.training.optim import make_schedule
from pipeline.training.random_stream import RandomStream

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

FULL_ERROR = 100.0  # of which a score in percent is taken away
LEAST_ERROR = {"loss": 1e-6, "score": 0.01}  # W divides by errors; less cannot be told from nothing
# What compares layers, which models of other shapes do not have.
LAYER_TERMS = ("encoder_attention", "encoder_hidden", "encoder_relations", *DECODER_TERMS)

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


@dataclass(frozen=True, kw_only=True)
class _Tried:
    """A trial in training, and how to get a whole model of it after a step."""

    plan: TrialPlan
    learner: Learner
    model_after: Callable[[int], PreTrainedModel]


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
    num_steps = num_training_steps(batches, train)
    with ExitStack() as stack:
        runs = [stack.enter_context(_run_of(plan, work)) for plan in plans]
        tried = [
            _student(plan, teacher, work, run, unsharded, num_steps)
            if plan.student is not None
            else _model(plan, teacher, work, run, tokenizer, num_steps)
            for plan, run in zip(plans, runs, strict=True)
        ]
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
    tried: Sequence[_Tried]
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


def trial_run(plan: TrialPlan, config: OseSearchJob, data: str, cost: Cost, parent_run_id: str) -> Run:
    """Start the run of a trial below that of its search, or go on with it; every rank calls it.

    Args:
        plan: the trial.
        config: the job.
        data: fingerprint of the examples.
        cost: of its point.
        parent_run_id: of the search.
    """
    own = asdict(plan.student.config) if plan.student is not None else {}
    if plan.model is not None:
        own = {"architecture": asdict(plan.model.architecture)}
    run = start_run(
        config,
        RunSpec(
            name=plan.name,
            key=plan.key,
            kind="candidate",
            parent_run_id=parent_run_id,
            params={
                **common_params(config, without=("search", "teacher")),
                **{name: value for name, value in own.items() if value is not None},
                "seed": plan.seed,
                "learning_rate": plan.learning_rate,
            },
            config=to_yaml(config),
            tags={"dq.data": data, **common_tags(config), "dq.point": plan.point},
        ),
    )
    run.metrics({"size": float(cost.size), "inference": float(cost.inference)}, 0)
    return run


def _run_of(plan: TrialPlan, work: TrialsWork) -> Run:
    """The run of a trial; nothing is written of one that takes part no more."""
    if plan.key in work.waiting:
        return NoOpRun()
    return trial_run(plan, work.config, work.task.fingerprint, work.costs[plan.point], work.parent_run_id)


def _student(
    plan: TrialPlan,
    teacher: PreTrainedModel | None,
    work: TrialsWork,
    run: Run,
    unsharded: TrainingBatches,
    num_steps: int,
) -> _Tried:
    student = plan.student
    assert student is not None and teacher is not None
    learner = student_learner(
        student, teacher, work.config, listener=run, unsharded_batches=unsharded, num_steps=num_steps
    )

    def model_after(step: int) -> PreTrainedModel:
        model = planned_student(student, teacher, learner.engine.copy_to)
        bit_schedule(student, model, num_steps)(step - 1)
        return model

    return _Tried(plan=plan, learner=learner, model_after=model_after)


def _model(
    plan: TrialPlan,
    teacher: PreTrainedModel | None,
    work: TrialsWork,
    run: Run,
    tokenizer: PreTrainedTokenizerBase,
    num_steps: int,
) -> _Tried:
    config, device = work.config, worker_device(work.config.cluster)
    assert plan.model is not None
    model = load_teacher(plan.model, tokenizer, config.task, plan.seed, work.task.labels)
    set_dropout(model, config.student.dropout)
    replica = copy.deepcopy(model)
    learner = Learner(
        name=plan.name,
        engine=make_engine(model.to(device).train(), config.student, config.cluster),
        objective=_objective(config, teacher),
        learning_rate=make_schedule(config.student, num_steps, plan.learning_rate),
        listener=run,
        random=RandomStream(plan.seed + rank(), device),
    )

    def model_after(_: int) -> PreTrainedModel:
        filled = copy.deepcopy(replica).to(device)
        learner.engine.copy_to(filled)
        return filled

    return _Tried(plan=plan, learner=learner, model_after=model_after)


def _objective(config: OseSearchJob, teacher: PreTrainedModel | None) -> Objective:
    """What a model from scratch minimises: of a teacher of another shape it can imitate the logits alone."""
    smoothing = config.student.label_smoothing
    if teacher is None:
        return TaskObjective(label_smoothing=smoothing)
    weights = changed(config.recipe.distillation, dict.fromkeys(LAYER_TERMS, 0.0), "recipe.distillation")
    return DistillationObjective(weights=weights, encoder_map=[], decoder_map=[], label_smoothing=smoothing)
