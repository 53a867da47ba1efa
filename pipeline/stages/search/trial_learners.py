"""Trials in training: a student cut from its teacher, or a model from scratch, each with what it minimises."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.config.jobs.ose_search import OseSearchJob
from pipeline.data.batches import TrainingBatches
from pipeline.distillation.objective import TaskObjective
from pipeline.models.load import load_teacher, set_dropout
from pipeline.stages.search.space import TrialPlan
from pipeline.stages.sweep.plan.students import StudentPlan
from pipeline.stages.sweep.student.build import bit_schedule, planned_student
from pipeline.stages.sweep.student.objectives import logits_objective
from pipeline.stages.sweep.student.start import student_learner
from pipeline.stages.training import make_engine, worker_device
from pipeline.tracking.run import Run
from pipeline.training.collective import rank
from pipeline.training.loop import Learner, Objective
from pipeline.training.optim import make_schedule
from pipeline.training.random_stream import RandomStream

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


@dataclass(frozen=True, kw_only=True)
class TrialLearner:
    """A trial in training, and how to get a whole model of it after a step."""

    plan: TrialPlan
    learner: Learner
    model_after: Callable[[int], PreTrainedModel]


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What all trials of a group share.

    Args:
        config: the job.
        labels: of a classification task.
        teacher: on this worker's device; none where nobody needs one.
        tokenizer: the task's.
        unsharded_batches: the first calibrates learned activation scales.
        num_steps: optimiser steps of the whole training, of which the trials see the first.
    """

    config: OseSearchJob
    labels: Sequence[str]
    teacher: PreTrainedModel | None
    tokenizer: PreTrainedTokenizerBase
    unsharded_batches: TrainingBatches
    num_steps: int

    def learner(self, plan: TrialPlan, run: Run) -> TrialLearner:
        """A trial ready to be trained.

        Args:
            plan: the trial.
            run: told what happens to it.
        """
        if plan.student is not None:
            return self._student(plan, plan.student, run)
        return self._model(plan, run)

    def _student(self, plan: TrialPlan, student: StudentPlan, run: Run) -> TrialLearner:
        teacher, num_steps = self.teacher, self.num_steps
        assert teacher is not None, "students have a teacher"
        learner = student_learner(
            student,
            teacher,
            self.config,
            listener=run,
            unsharded_batches=self.unsharded_batches,
            num_steps=num_steps,
        )

        def model_after(step: int) -> PreTrainedModel:
            model = planned_student(student, teacher, learner.engine.copy_to)
            bit_schedule(student, model, num_steps)(step - 1)
            return model

        return TrialLearner(plan=plan, learner=learner, model_after=model_after)

    def _model(self, plan: TrialPlan, run: Run) -> TrialLearner:
        config, device = self.config, worker_device(self.config.cluster)
        assert plan.model is not None
        model = load_teacher(plan.model, self.tokenizer, config.task, plan.seed, self.labels)
        set_dropout(model, config.student.dropout)
        replica = copy.deepcopy(model)
        learner = Learner(
            name=plan.name,
            engine=make_engine(model.to(device).train(), config.student, config.cluster),
            objective=self._objective(),
            learning_rate=make_schedule(config.student, self.num_steps, plan.learning_rate),
            listener=run,
            random=RandomStream(plan.seed + rank(), device),
        )

        def model_after(_: int) -> PreTrainedModel:
            filled = copy.deepcopy(replica).to(device)
            learner.engine.copy_to(filled)
            return filled

        return TrialLearner(plan=plan, learner=learner, model_after=model_after)

    def _objective(self) -> Objective:
        """What a model from scratch minimises: of a teacher of another shape it can imitate the logits alone."""
        smoothing = self.config.student.label_smoothing
        if self.teacher is None:
            return TaskObjective(label_smoothing=smoothing)
        return logits_objective(self.config.recipe.distillation, smoothing)
