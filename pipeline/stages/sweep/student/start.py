"""A student before its first step: built, calibrated, handed to an engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from pipeline.config.jobs import TrainsStudents
from pipeline.data.batch import Batch
from pipeline.data.batches import TrainingBatches
from pipeline.quantization.fake_quantize import calibration, learns_activations
from pipeline.stages.sweep.plan.students import StudentPlan
from pipeline.stages.sweep.student.build import bit_schedule, planned_student
from pipeline.stages.sweep.student.objectives import logits_objective, objective_of
from pipeline.stages.sweep.student.start_folder import read_failure, read_heads
from pipeline.stages.training import make_engine
from pipeline.training.collective import rank
from pipeline.training.loop import Learner, Listener, Objective
from pipeline.training.optim import make_schedule
from pipeline.training.random_stream import RandomStream

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def student_learner(
    plan: StudentPlan,
    teacher: PreTrainedModel,
    config: TrainsStudents,
    *,
    listener: Listener,
    unsharded_batches: TrainingBatches,
    num_steps: int,
    origin: PreTrainedModel | None = None,
) -> Learner:
    """A student ready to be trained; one whose gates have failed has failed.

    Args:
        plan: the student.
        teacher: its teacher, on this worker's device.
        config: the job.
        listener: told what happens to it.
        unsharded_batches: unsharded batches; the first calibrates learned activation scales, on every rank alike.
        num_steps: optimiser steps to come.
        origin: what it is cut from, if that is not its teacher: then it can imitate the teacher's logits alone.
    """
    train, heads = config.student, read_heads(plan.start_folder)
    student = started_student(plan, origin or teacher, unsharded_batches)
    if origin is not None and plan.config.distil:
        objective: Objective = logits_objective(plan.recipe.distillation, train.label_smoothing)
    else:
        objective = objective_of(plan, student, teacher, heads, train.label_smoothing)
    learner = Learner(
        name=plan.name,
        engine=make_engine(student.train(), train, config.cluster),
        objective=objective,
        learning_rate=make_schedule(train, num_steps, plan.learning_rate),
        listener=listener,
        random=RandomStream(plan.seed + rank(), teacher.device),
        before_step=bit_schedule(plan, student, num_steps),
    )
    if failure := read_failure(plan.start_folder):
        learner.fail(failure)
    return learner


def started_student(plan: StudentPlan, teacher: PreTrainedModel, unsharded_batches: TrainingBatches) -> PreTrainedModel:
    """A student as it is before its first step, fake-quantized and calibrated; arguments as of `student_learner`."""
    student = planned_student(plan, teacher)
    if learns_activations(student):
        calibrate(student, next(unsharded_batches.steps(0))[0].to(teacher.device))
    return student


@torch.no_grad()
def calibrate(student: PreTrainedModel, batch: Batch) -> None:
    """Let learned activation scales start from what a batch shows, in evaluation mode and full precision."""
    student.eval()
    with calibration(student):
        student(**batch.inputs)
