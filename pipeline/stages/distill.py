"""Stage: which students are to be trained, in which cohorts, and what became of them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from pipeline.cluster.ray_train import run_workers
from pipeline.config.load import config_hash
from pipeline.config.schema import JobConfig
from pipeline.export.package import MANIFEST
from pipeline.stages import heads, pseudo_labels
from pipeline.stages.cohort import train_students
from pipeline.stages.data import as_payload
from pipeline.stages.job import OpenedJob
from pipeline.stages.plan import StudentPlan, plan_students, sequence_of, sweep_key
from pipeline.stages.runs import open_tracker
from pipeline.stages.storage import write_json
from pipeline.stages.teacher import TeacherResult
from pipeline.tracking.progress import say
from pipeline.tracking.tracker import Tracker

COHORT = "students.json"  # keys of the cohort that a checkpoint folder belongs to


@dataclass(frozen=True, kw_only=True)
class StudentResult:
    """A student after training: its run, its metrics, why it failed if it did."""

    name: str
    key: str
    run_id: str | None
    failure: str | None
    metrics: dict[str, float]
    wanted: bool  # by this submission; false: an earlier one trained it
    group: str  # what it is called without its seed


def run(job: OpenedJob, teacher: TeacherResult, parent_run_id: str) -> list[StudentResult]:
    """Train the students that are not finished, cohort by cohort; an interrupted cohort goes on as it was.

    Raises:
        UserError: a depth or layer map that the teacher does not have.
    """
    config, folder = job.config, job.storage.sweep(sweep_key(job.config, teacher))
    plans = plan_students(job, teacher)
    tracker = open_tracker(config)
    finished = set()
    for plan in plans:
        found = tracker.find("student", plan.key)
        if found is not None and found.finished and (plan.packed(folder) / MANIFEST).is_file():
            tracker.adopt(found, parent_run_id)
            finished.add(plan.key)
            say(f"student {plan.name}: found finished")
    first_error: Exception | None = None
    for cohort in _cohorts(config, plans, finished, folder / "checkpoints"):
        try:
            _train_cohort(job, teacher, tracker, parent_run_id, cohort, finished)
        except Exception as error:  # the other cohorts know nothing of it
            say(f"a cohort of {len(cohort)} failed: {type(error).__name__}: {error}")
            first_error = first_error or error
    if first_error is not None:
        raise first_error
    return _results(tracker, parent_run_id, [plan.key for plan in plans])


def _cohorts(
    config: JobConfig, plans: list[StudentPlan], finished: set[str], checkpoints: Path
) -> list[list[StudentPlan]]:
    """Interrupted cohorts that can go on, as they were, and the students that are left, by what they train on."""
    wanted, cohorts = {plan.key: plan for plan in plans}, []
    for record in sorted(checkpoints.glob(f"*-{config.cluster.layout}/{COHORT}")):
        keys = json.loads(record.read_text())
        if (record.parent / "latest").is_file() and set(keys) <= set(wanted) and not set(keys) <= finished:
            cohorts.append([wanted.pop(key) for key in keys])
    left: dict[str, list[StudentPlan]] = {}
    for plan in wanted.values():
        if plan.key not in finished:  # one cohort sees one sequence of batches
            left.setdefault(f"{plan.seed} {sequence_of(config, plan.config)}", []).append(plan)
    return [*cohorts, *left.values()]


def _train_cohort(
    job: OpenedJob,
    teacher: TeacherResult,
    tracker: Tracker,
    parent_run_id: str,
    cohort: list[StudentPlan],
    finished: set[str],
) -> None:
    config, name = job.config, config_hash([plan.key for plan in cohort])
    folder = job.storage.sweep(sweep_key(config, teacher))
    checkpoints = folder / "checkpoints" / f"{name}-{config.cluster.layout}"
    training_tokens = pseudo_labels.run(job, teacher, sequence_of(config, cohort[0].config))
    for plan in cohort:
        heads.run(job, teacher, plan, folder, training_tokens)
    payload = as_payload(
        config,
        job.task,
        teacher=asdict(teacher),
        students=[asdict(plan) for plan in cohort],
        training_tokens=str(training_tokens),
        finished=sorted(finished),
        folder=str(folder),
        checkpoints=str(checkpoints),
        parent_run_id=parent_run_id,
    )
    write_json(checkpoints / COHORT, [plan.key for plan in cohort])
    try:
        run_workers(
            train_students, payload, config.cluster, name=f"cohort-{name}", storage_path=job.storage.root / "ray"
        )
    except BaseException as error:  # a worker that was killed could not say so itself
        for plan in cohort:
            tracker.fail_if_running("student", plan.key, f"{type(error).__name__}: {error}")
        raise


def _results(tracker: Tracker, parent_run_id: str, wanted: list[str]) -> list[StudentResult]:
    """All students of the sweep: those asked for now in their order, then those of earlier submissions."""
    by_key = {child.tags["dq.key"]: child for child in tracker.children(parent_run_id)}
    keys = [*wanted, *sorted(set(by_key) - set(wanted), key=lambda key: by_key[key].name)]
    return [
        StudentResult(
            name=by_key[key].name,
            key=key,
            run_id=by_key[key].run_id,
            failure=None if by_key[key].finished else by_key[key].tags.get("dq.failure", "not finished"),
            metrics=by_key[key].metrics,
            wanted=key in wanted,
            group=by_key[key].tags.get("dq.group", ""),
        )
        for key in keys
    ]
