"""Which students of a cohort are given up: compared at equal steps of the same batches, so no luck is involved."""

from __future__ import annotations

import logging
import math
import statistics
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from pipeline.config.schema import JobConfig
from pipeline.config.sweep import StoppingConfig
from pipeline.models.student import sites_of
from pipeline.quantization.schedule import BitSchedule, phases_of
from pipeline.stages.evaluate import standing, validate
from pipeline.stages.prepare_data import PreparedTask
from pipeline.stages.sweep.plan.students import StudentPlan, recipe_of, scheme_of_student
from pipeline.stages.sweep.student.start import prepared_student
from pipeline.training.collective import rank
from pipeline.training.loop import Learner

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


def stopping_checks(
    config: JobConfig,
    task: PreparedTask,
    plans: Sequence[StudentPlan],
    learners: Sequence[Learner],
    teacher: Any,
    folder: Path,
    num_steps: int,
) -> dict[int, Callable[[], None]]:
    """Optimiser step -> what is done after it: validate every student that is left, and give up the worst.

    Args:
        config: the job.
        task: its validation split.
        plans: the students.
        learners: the same in training.
        teacher: what students are cut from.
        folder: of the sweep.
        num_steps: of the whole training.
    """
    stopping = config.sweep.stopping
    if stopping.rule == "none":
        return {}

    def look(step: int) -> None:
        standings = {}
        for plan, learner in zip(plans, learners, strict=True):
            if learner.active:
                model = _replica(config, plan, learner, teacher, folder, step, num_steps)
                found = validate(model, task, config, with_scores=stopping.measure == "score")
                learner.listener.metrics({f"validation_{name}": value for name, value in found.items()}, step)
                standings[plan.key] = standing(found)
        for plan, learner in zip(plans, learners, strict=True):
            if reason := _reason(plan, plans, standings, stopping, step, num_steps):
                learner.stop(reason)
                if rank() == 0:
                    log.info(f"student {plan.name} {reason}")

    steps = sorted({max(1, round(part * num_steps)) for part in stopping.fractions})
    return {step: partial(look, step) for step in steps if step < num_steps}


def _replica(
    config: JobConfig, plan: StudentPlan, learner: Learner, teacher: Any, folder: Path, step: int, num_steps: int
) -> Any:
    """A student as it is trained at a step, on the grid of its phase."""
    model = prepared_student(config, plan, teacher, folder).to(teacher.device)
    learner.engine.copy_to(model)
    recipe = recipe_of(config, plan.config)
    scheme = scheme_of_student(config, plan)
    phases = phases_of(recipe.schedule, recipe.quantization, scheme)
    BitSchedule(model, sites_of(model), phases, scheme, num_steps)(step - 1)
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
