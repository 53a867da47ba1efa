"""A small model in training, and what it minimises."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from pipeline.config.jobs.bort_pretrain import PretrainJob
from pipeline.config.sections.model import ModelConfig
from pipeline.distillation.layer_map import layer_map
from pipeline.distillation.objective import DistillationObjective, TaskObjective
from pipeline.distillation.recording import relations_of
from pipeline.models.families import family_of
from pipeline.models.load import load_teacher, set_dropout
from pipeline.stages.pretrain.plan import ModelPlan
from pipeline.stages.training import make_engine
from pipeline.tracking.run import Run
from pipeline.training.collective import rank
from pipeline.training.loop import Learner, Objective
from pipeline.training.optim import make_schedule
from pipeline.training.random_stream import RandomStream

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


@dataclass(frozen=True, kw_only=True)
class SmallModel:
    """A model in training, and a replica that its weights are copied to where it must be whole."""

    plan: ModelPlan
    learner: Learner
    replica: PreTrainedModel
    run: Run

    def whole(self) -> PreTrainedModel:
        """The model as it is now; every rank calls it."""
        self.learner.engine.copy_to(self.replica)
        return self.replica


def small_learner(
    plan: ModelPlan,
    start: ModelConfig,
    teacher: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    config: PretrainJob,
    *,
    num_steps: int,
    run: Run,
    device: torch.device,
) -> SmallModel:
    """A model before its first step; of one seed all have the same weights, batches, masks and dropout.

    Args:
        plan: which of them.
        start: where it starts from.
        teacher: its teacher.
        tokenizer: the teacher's.
        config: the job.
        num_steps: optimiser steps to come.
        run: told what happens to it.
        device: of this rank.
    """
    train = config.student
    model = load_teacher(start, tokenizer, config.task, config.seed)
    set_dropout(model, train.dropout)
    replica = copy.deepcopy(model)
    objective = (
        objective_of(config, model, teacher) if plan.distils else TaskObjective(label_smoothing=train.label_smoothing)
    )
    learner = Learner(
        name=plan.name,
        engine=make_engine(model.to(device).train(), train, config.cluster),
        objective=objective,
        learning_rate=make_schedule(train, num_steps, train.learning_rate),
        listener=run,
        random=RandomStream(config.seed + rank(), device),
    )
    return SmallModel(plan=plan, learner=learner, replica=replica.to(device), run=run)


def objective_of(config: PretrainJob, student: PreTrainedModel, teacher: PreTrainedModel) -> Objective:
    """The losses of a model that learns from a teacher of another shape.

    Args:
        config: the job; its weights are those of losses that the shapes allow.
        student: the model, before an engine takes it apart.
        teacher: its teacher.
    """
    weights = config.pretraining.weights
    num_teacher, num_student = (family_of(model.config).num_layers(model.config)[0] for model in (teacher, student))
    return DistillationObjective(
        weights=weights,
        encoder_map=layer_map(num_teacher, num_student) if weights.encoder_hidden else [],
        decoder_map=[],
        relations=relations_of(weights, student, teacher),
        label_smoothing=config.student.label_smoothing,
    )
