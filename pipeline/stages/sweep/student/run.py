"""A student's run: its name, its settings, its tags."""

from __future__ import annotations

from dataclasses import asdict

from pipeline.config.jobs.dq_sweep import SweepJob
from pipeline.config.load import to_yaml
from pipeline.stages.runs import common_params, common_tags, start_run
from pipeline.stages.sweep.plan.students import StudentPlan, Untrained
from pipeline.stages.teacher.finished import TeacherResult
from pipeline.tracking.run import Run
from pipeline.tracking.tracker import RunSpec

TRAINED, FULL_PRECISION = "dq.trained_key", "dq.full_precision_key"  # tags: beside whom an untrained student stands


def start_student_run(
    plan: StudentPlan, config: SweepJob, *, teacher: TeacherResult, data: str, parent_run_id: str
) -> Run:
    """Start a student's run below that of its sweep, or go on with it; every rank calls it.

    Args:
        plan: the student.
        config: the job.
        teacher: its teacher.
        data: fingerprint of the examples.
        parent_run_id: of the sweep.
    """
    of_grid = plan.config.label in config.sweep.recipes
    recipe = plan.config.label if of_grid else f"{config.recipe.name} {plan.config.label}".strip()
    spec = RunSpec(
        name=plan.name,
        key=plan.key,
        kind="student",
        parent_run_id=parent_run_id,
        params={
            **common_params(config, without=("sweep",)),
            **{name: value for name, value in asdict(plan.config).items() if value is not None},
            "seed": plan.seed,
            "recipe": {**asdict(plan.recipe), "name": recipe},
            "encoder_map": plan.encoder_map,
            "decoder_map": plan.decoder_map,
            "teacher_key": teacher.key,
        },
        config=to_yaml(config),
        tags={
            "dq.teacher_run": teacher.run_id or "",
            "dq.data": data,
            **common_tags(config),
            "dq.group": plan.group,
            "dq.recipe": recipe,
            **({} if plan.untrained is None else _compared(plan.untrained)),
        },
    )
    return start_run(config, spec)


def _compared(untrained: Untrained) -> dict[str, str]:
    return {TRAINED: untrained.trained_key, FULL_PRECISION: untrained.full_precision_key}
