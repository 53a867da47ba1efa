"""Timed optimiser steps of one cohort of students and of as many cohorts of one."""

from __future__ import annotations

import gc
import resource
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from pipeline.config.errors import UserError
from pipeline.config.jobs.benchmark import BenchmarkJob
from pipeline.data.batch import Batch
from pipeline.data.batches import TrainingBatches
from pipeline.stages.sweep.plan.students import StudentPlan
from pipeline.stages.sweep.student.objectives import teacher_pass
from pipeline.stages.sweep.student.start import student_learner
from pipeline.tracking.run import NoOpRun
from pipeline.training.loop import Learner, LoopSettings, NoHooks, Progress, train_cohort

if TYPE_CHECKING:
    from transformers import PreTrainedModel

NUM_WARM_UP = 2  # first steps of a series, one of either kind: they allocate

Cohort = tuple[list[Learner], Callable[[Batch], Any]]  # learners, and the teacher pass that serves them
Losses = dict[str, float]  # name of a student -> total loss of one step


@dataclass(frozen=True, kw_only=True)
class Seconds:
    """Seconds of an optimiser step of all students."""

    median: float
    lowest: float
    highest: float


@dataclass(frozen=True, kw_only=True)
class StepTimes:
    """One cohort of students against as many cohorts of one.

    Args:
        cohort: of one cohort.
        alone: of the cohorts of one, one after the other.
        ratio: the median of the former over that of the latter.
        processor_ratio: the same of this process's processor time, which other load touches less.
        processor_seconds: the median of this process's processor time for a step in one cohort.
        page_faults: the median of the pages that it was given for a step in one cohort.
        per_student: the former's median divided by the number of students.
        losses: those of the last step in one cohort.
        losses_alone: those of the same step in cohorts of one.
        same_losses: whether they were equal at every step, to the last bit.
    """

    cohort: Seconds
    alone: Seconds
    ratio: float
    processor_ratio: float
    processor_seconds: float
    page_faults: float
    per_student: float
    losses: Losses
    losses_alone: Losses
    same_losses: bool


class _LossesOf(NoHooks):
    """Adds the losses of every step to those that are there."""

    def __init__(self, losses: Losses) -> None:
        self.losses = losses

    def after_step(self, progress: Progress, losses: dict[str, float]) -> None:
        """See `Hooks.after_step`."""
        self.losses.update(losses)


class _Taken(NamedTuple):
    """One step: seconds on the clock, those of processors at work for this process, and pages that it was given."""

    wall: float
    processor: float
    page_faults: int


def num_steps_of_series(num_timed: int) -> int:
    """Optimiser steps that the students of one series make."""
    return NUM_WARM_UP + num_timed


def time_steps(
    config: BenchmarkJob,
    plans: list[StudentPlan],
    teacher: PreTrainedModel,
    batches: TrainingBatches,
    num_timed: int,
    on_step: Callable[[], None],
) -> StepTimes:
    """Time both kinds of step in turns, in two series of which the second begins with the other kind.

    Args:
        config: the job.
        plans: the students.
        teacher: their teacher, on the device of the measurement.
        batches: a batch for every step of a series.
        num_timed: steps that are timed of either kind, in both series together.
        on_step: called after every step.

    Raises:
        UserError: a student diverged, so that there is nothing left to time.
    """
    num_steps = num_steps_of_series(num_timed)
    times: dict[bool, list[_Taken]] = {True: [], False: []}  # by whether all students are one cohort
    losses: list[dict[bool, Losses]] = [{} for _ in range(num_steps)]
    for together_first in (True, False):
        learners = _learners(config, plans, teacher, batches, num_steps)
        cohorts = {True: [learners], False: [[learner] for learner in learners]}
        served = {kind: [_served(config, teacher, group) for group in groups] for kind, groups in cohorts.items()}
        for step in range(num_steps):
            together = (step % 2 == 0) == together_first
            taken, losses[step][together] = _timed_step(served[together], batches, step, teacher.device)
            if step >= NUM_WARM_UP:
                times[together].append(taken)
            on_step()
        if failed := next((learner for learner in learners if learner.failure), None):
            raise UserError(
                f"student '{failed.name}': {failed.failure}", "finite losses", "lower student.learning_rate"
            )
        del learners, cohorts, served
        gc.collect()  # before the next ones are built; models hold references to themselves
    cohort, alone = _seconds(times[True]), _seconds(times[False])
    processor = [statistics.median(taken.processor for taken in times[kind]) for kind in (True, False)]
    return StepTimes(
        cohort=cohort,
        alone=alone,
        ratio=cohort.median / alone.median,
        processor_ratio=processor[0] / processor[1],
        processor_seconds=processor[0],
        page_faults=statistics.median(taken.page_faults for taken in times[True]),
        per_student=cohort.median / len(plans),
        losses=losses[-1][True],
        losses_alone=losses[-1][False],
        same_losses=all(both[True] == both[False] for both in losses),
    )


def _learners(
    config: BenchmarkJob, plans: list[StudentPlan], teacher: PreTrainedModel, batches: TrainingBatches, num_steps: int
) -> list[Learner]:
    shared: dict[str, Any] = {"listener": NoOpRun(), "unsharded_batches": batches, "num_steps": num_steps}
    return [student_learner(plan, teacher, config, **shared) for plan in plans]


def _served(config: BenchmarkJob, teacher: PreTrainedModel, learners: list[Learner]) -> Cohort:
    return learners, teacher_pass(teacher, [learner.objective for learner in learners], config.cluster.precision)


def _timed_step(
    cohorts: list[Cohort], batches: TrainingBatches, step: int, device: torch.device
) -> tuple[_Taken, Losses]:
    """One optimiser step of every cohort, one after the other: its time and its losses."""
    losses: Losses = {}
    settings = LoopSettings(num_steps=step + 1, log_every_steps=step + 1)
    start, start_processor, start_faults = time.perf_counter(), time.process_time(), _page_faults()
    for learners, signals in cohorts:
        train_cohort(
            learners,
            batches,
            settings,
            device=device,
            progress=Progress(step=step, step_in_epoch=step),
            teacher_pass=signals,
            hooks=_LossesOf(losses),
        )
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    seconds, processor = time.perf_counter() - start, time.process_time() - start_processor
    taken = _Taken(seconds, processor, _page_faults() - start_faults)
    return taken, losses


def _page_faults() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def _seconds(times: list[_Taken]) -> Seconds:
    seconds = [taken.wall for taken in times]
    return Seconds(median=statistics.median(seconds), lowest=min(seconds), highest=max(seconds))
