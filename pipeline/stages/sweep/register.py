"""Stage: what a sweep hands over for serving: a logged model of every finished student, registered on request."""

from __future__ import annotations

import logging

import datasets

from pipeline.config.jobs.dq_sweep import SweepJob
from pipeline.config.keys import config_hash
from pipeline.evaluation.metrics import HEADLINES
from pipeline.serving.logged_models import LoggedStudent
from pipeline.serving.registry import BEST, SMALLEST, Candidate, register
from pipeline.stages.evaluate import evaluation_examples, metric_tags
from pipeline.stages.job import OpenedJob
from pipeline.stages.runs import open_tracker
from pipeline.stages.sweep.plan.cohorts import SweepPlan
from pipeline.stages.sweep.plan.students import StudentPlan
from pipeline.stages.sweep.student.log_model import logged_model, logged_model_or_warning
from pipeline.stages.sweep.train.run_cohorts import StudentResult

log = logging.getLogger(__name__)


def run(job: OpenedJob[SweepJob], plan: SweepPlan, students: list[StudentResult]) -> dict[str, int]:
    """Log the models that are missing and, if the job says so, register those of this submission's students.

    Workers log the models of their students; missing are those that failed then, and those of older versions.

    Returns:
        student -> version of the registered model; empty if none is asked for.
    """
    config, tracker, examples = job.config, open_tracker(job.config), evaluation_examples(job.task, job.config)
    plans, name = {student.key: student for student in plan.students}, config.tracking.register
    candidates, scored_on = {}, _scored_on(job, examples)
    for student in students:
        if student.failure or student.stopped or not student.requested or student.run_id is None:
            continue
        packed = plans[student.key].packed_folder
        if name is None:
            logged_model_or_warning(tracker, student.run_id, packed, examples, student.name)
        else:
            model = logged_model(tracker, student.run_id, packed, examples)
            candidates[student.name] = _candidate(job, student, plans[student.key], model, scored_on)
    if name is None:
        return {}
    versions = register(tracker, name, list(candidates.values()))
    found = {student: versions[candidate.model.run_id] for student, candidate in candidates.items()}
    listed = ", ".join(f"{student} is version {version}" for student, version in found.items())
    if found:
        log.info(f"registered model {name}: {listed}; models:/{name}@{BEST} and @{SMALLEST}")
    else:
        log.info("nothing to register")
    return found


def _candidate(
    job: OpenedJob[SweepJob], student: StudentResult, plan: StudentPlan, model: LoggedStudent, scored_on: str
) -> Candidate:
    headline, metrics = HEADLINES[job.config.task.metric], student.metrics
    return Candidate(
        model=model,
        examples=scored_on,
        headline=metrics[f"{job.config.evaluation.split}_{headline}"],
        size_bytes=metrics["size_bytes"],
        tags={"student": student.name, "scheme": plan.config.scheme, "depth": plan.config.depth, "metric": headline},
    )


def _scored_on(job: OpenedJob[SweepJob], examples: datasets.Dataset) -> str:
    """Equal where scores compare: the same examples of the same data by the same metric of the same signature."""
    tags = metric_tags(examples, job.config)
    return config_hash(job.task.fingerprint, job.config.evaluation.max_examples, tags)
