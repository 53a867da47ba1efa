"""Which students of a cohort are given up: compared at equal steps of the same batches, so no luck is involved."""

from __future__ import annotations

import logging
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.config.jobs.dq_sweep import SweepJob
from pipeline.config.sections.sweep import StoppingConfig
from pipeline.stages.evaluate import standing, validate
from pipeline.stages.prepare_data import PreparedTask
from pipeline.stages.sweep.plan.students import StudentPlan
from pipeline.stages.sweep.student.build import bit_schedule, planned_student
from pipeline.training.collective import rank
from pipeline.training.loop import Learner, NoHooks, Progress

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Standing = tuple[float, float]  # score and negative loss, the higher the better

log = logging.getLogger(__name__)


def to_stop(costs: Sequence[float], rule: str, keep: float) -> list[bool]:
    """Which of several students are given up; never the best, never one of two that are equal.

    Args:
        costs: the lower, the better; one a student.
        rule: median or halving.
        keep: part that halving keeps, rounded up.
    """
    if rule == "median":
        # The lower of two: nobody lies between them, and their mean may overflow.
        return [cost > statistics.median_low(costs) for cost in costs]
    last_kept = sorted(costs)[max(1, math.ceil(keep * len(costs))) - 1]
    return [cost > last_kept for cost in costs]


@dataclass(frozen=True, kw_only=True)
class EarlyStopping(NoHooks):
    """After some optimiser steps, validates every student that is left, and gives up the worst.

    Args:
        config: the job.
        task: its validation split.
        plans: the students.
        learners: the same in training.
        teacher: what students are cut from.
        num_steps: of the whole training.
    """

    config: SweepJob
    task: PreparedTask
    plans: Sequence[StudentPlan]
    learners: Sequence[Learner]
    teacher: PreTrainedModel
    num_steps: int

    def after_step(self, progress: Progress, losses: dict[str, float]) -> None:
        """See `Hooks.after_step`."""
        step, stopping = progress.step, self.config.sweep.stopping
        if step not in stopping.steps(self.num_steps):
            return
        standings = self._standings(step)
        for plan, learner in zip(self.plans, self.learners, strict=True):
            if reason := _reason(plan, self.plans, standings, stopping, step, self.num_steps):
                learner.stop(reason)
                if rank() == 0:
                    log.info(f"student {plan.name} {reason}")

    def _standings(self, step: int) -> dict[str, Standing]:
        """Those of the students that are left, by key."""
        standings = {}
        for plan, learner in zip(self.plans, self.learners, strict=True):
            if learner.active:
                model = _replica(plan, learner, self.teacher, step, self.num_steps)
                with_scores = self.config.sweep.stopping.measure == "score"
                found = validate(model, self.task, self.config, with_scores=with_scores)
                learner.listener.metrics({f"validation_{name}": value for name, value in found.items()}, step)
                standings[plan.key] = standing(found)
        return standings


def _replica(
    plan: StudentPlan, learner: Learner, teacher: PreTrainedModel, step: int, num_steps: int
) -> PreTrainedModel:
    """A student as it is trained at a step, on the grid of its phase."""
    model = planned_student(plan, teacher, learner.engine.copy_to)
    bit_schedule(plan, model, num_steps)(step - 1)
    return model


def _reason(
    plan: StudentPlan,
    plans: Sequence[StudentPlan],
    standings: dict[str, Standing],
    stopping: StoppingConfig,
    step: int,
    num_steps: int,
) -> str | None:
    """Why a student is given up; none if it goes on."""
    if plan.key not in standings:
        return None
    rivals = [
        one.key for one in plans if one.key in standings and (stopping.among == "cohort" or _size(one) == _size(plan))
    ]
    given_up = to_stop(_ranks([standings[key] for key in rivals]), stopping.rule, stopping.keep)
    if not given_up[rivals.index(plan.key)]:
        return None
    (score, negative_loss), best = standings[plan.key], max(standings[key] for key in rivals)
    name, values = f"validation {stopping.measure}", (score, best[0])
    if stopping.measure == "loss" or score == best[0]:  # of equal scores the loss has decided
        name, values = "validation loss", (-negative_loss, -best[1])
    return (
        f"stopped after {step} of {num_steps} steps by {stopping.rule}: {name} {values[0]:.4g}, the best of "
        f"{len(rivals)} had {values[1]:.4g}"
    )


def _ranks(standings: Sequence[Standing]) -> list[float]:
    """The places of standings, the best first; equal ones share theirs."""
    places = {one: float(place) for place, one in enumerate(sorted(set(standings), reverse=True))}
    return [places[one] for one in standings]


def _size(plan: StudentPlan) -> str:
    return f"{plan.config.scheme} {plan.config.depth} {plan.config.heads}"
