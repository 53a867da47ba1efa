"""Students before their first step: cut from the teacher, fake-quantized, calibrated, handed to an engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from pipeline.config.jobs import TrainsStudents
from pipeline.data.batch import Batch
from pipeline.data.batches import TrainingBatches
from pipeline.models.student import build_student, prepare_student, sites_of
from pipeline.quantization.fake_quantize import calibration, learns_activations
from pipeline.quantization.schedule import BitSchedule, phases_of
from pipeline.stages.sweep.plan.students import StudentPlan
from pipeline.stages.sweep.student.objectives import objective_of
from pipeline.stages.sweep.train.prune_heads import load_start, read_failure, read_heads
from pipeline.stages.training import make_engine
from pipeline.tracking.run import Run
from pipeline.training.collective import rank
from pipeline.training.loop import Learner
from pipeline.training.optim import make_schedule
from pipeline.training.random_stream import RandomStream

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def prepared_student(plan: StudentPlan, teacher: PreTrainedModel) -> PreTrainedModel:
    """A student of a sweep: layers of the teacher, heads removed, fake-quantized."""
    heads = read_heads(plan.start_folder)
    student = build_student(teacher, plan.encoder_map, plan.decoder_map, plan.dropout, heads)
    load_start(student, plan.start_folder)
    prepare_student(student, plan.scheme)
    return student


def student_learner(
    config: TrainsStudents,
    plan: StudentPlan,
    teacher: PreTrainedModel,
    run: Run,
    unsharded_batches: TrainingBatches,
    num_steps: int,
) -> Learner:
    """A student ready to be trained.

    Args:
        config: the job.
        plan: the student.
        teacher: its teacher, on this worker's device.
        run: told what happens to it.
        unsharded_batches: unsharded batches; the first calibrates learned activation scales, on every rank alike.
        num_steps: optimiser steps to come.
    """
    train, recipe = config.student, plan.recipe
    student = prepared_student(plan, teacher).to(teacher.device)
    if learns_activations(student):
        calibrate(student, next(unsharded_batches.steps(0))[0].to(teacher.device))
    phases = phases_of(recipe.schedule, recipe.quantization, plan.scheme)
    objective = objective_of(plan, student, teacher, read_heads(plan.start_folder), train.label_smoothing)
    learner = Learner(
        name=plan.name,
        engine=make_engine(student.train(), train, config.cluster),
        objective=objective,
        learning_rate=make_schedule(train, num_steps, plan.learning_rate),
        listener=run,
        random=RandomStream(plan.seed + rank(), teacher.device),
        before_step=BitSchedule(student, sites_of(student), phases, plan.scheme, num_steps),
    )
    if failure := read_failure(plan.start_folder):
        learner.fail(failure)
    return learner


@torch.no_grad()
def calibrate(student: PreTrainedModel, batch: Batch) -> None:
    """Let learned activation scales start from what a batch shows, in evaluation mode and full precision."""
    student.eval()
    with calibration(student):
        student(**batch.inputs)
