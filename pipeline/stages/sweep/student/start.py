"""Students before their first step: cut from the teacher, fake-quantized, calibrated, handed to an engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from pipeline.config.jobs.dq_sweep import SweepJob
from pipeline.data.batch import Batch
from pipeline.data.batches import TrainingBatches
from pipeline.models.student import build_student, prepare_student, sites_of
from pipeline.quantization.fake_quantize import calibration, learns_activations
from pipeline.quantization.schedule import BitSchedule, phases_of
from pipeline.stages.sweep.plan.students import StudentPlan, peak_learning_rate, recipe_of, scheme_of_student
from pipeline.stages.sweep.student.objectives import objective_of
from pipeline.stages.sweep.train.prune_heads import load_start, read_failure, read_heads
from pipeline.stages.training import make_engine
from pipeline.tracking.run import Run
from pipeline.training.collective import rank
from pipeline.training.loop import Learner
from pipeline.training.optim import make_schedule
from pipeline.training.random_stream import RandomStream


def prepared_student(config: SweepJob, plan: StudentPlan, teacher: Any, folder: Path) -> Any:
    """A student of a sweep's folder: layers of the teacher, heads removed, fake-quantized."""
    start = plan.start_folder(folder)
    student = build_student(teacher, plan.encoder_map, plan.decoder_map, config.student.dropout, read_heads(start))
    load_start(student, start)
    prepare_student(student, scheme_of_student(config, plan))
    return student


def student_learner(
    config: SweepJob,
    plan: StudentPlan,
    teacher: Any,
    run: Run,
    unsharded_batches: TrainingBatches,
    num_steps: int,
    folder: Path,
) -> Learner:
    """A student ready to be trained.

    Args:
        config: the job.
        plan: the student.
        teacher: its teacher, on this worker's device.
        run: told what happens to it.
        unsharded_batches: unsharded batches; the first calibrates learned activation scales, on every rank alike.
        num_steps: optimiser steps to come.
        folder: of the sweep.
    """
    train, recipe, start = config.student, recipe_of(config, plan.config), plan.start_folder(folder)
    student = prepared_student(config, plan, teacher, folder).to(teacher.device)
    if learns_activations(student):
        calibrate(student, next(unsharded_batches.steps(0))[0].to(teacher.device))
    scheme = scheme_of_student(config, plan)
    phases = phases_of(recipe.schedule, recipe.quantization, scheme)
    objective = objective_of(recipe, plan, student, teacher, read_heads(start), train.label_smoothing)
    peak = peak_learning_rate(config, plan.config)
    learner = Learner(
        name=plan.name,
        engine=make_engine(student.train(), train, config.cluster),
        objective=objective,
        learning_rate=make_schedule(train, num_steps, peak),
        listener=run,
        random=RandomStream(plan.seed + rank(), teacher.device),
        before_step=BitSchedule(student, sites_of(student), phases, scheme, num_steps),
    )
    if failure := read_failure(start):
        learner.fail(failure)
    return learner


@torch.no_grad()
def calibrate(student: Any, batch: Batch) -> None:
    """Let learned activation scales start from what a batch shows, in evaluation mode and full precision."""
    student.eval()
    with calibration(student):
        student(**batch.inputs)
