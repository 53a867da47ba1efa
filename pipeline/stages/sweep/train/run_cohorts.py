"""Stage: train the cohorts of a sweep side by side, quantize the rest, and say what became of its students."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from pipeline.cluster.groups import run_side_by_side
from pipeline.cluster.ray_train import run_workers
from pipeline.config.jobs.dq_sweep import SweepJob
from pipeline.config.keys import config_hash
from pipeline.config.sections.recipe import SequenceConfig
from pipeline.stages.job import OpenedJob
from pipeline.stages.runs import open_tracker
from pipeline.stages.sweep.plan.cohorts import COHORT, CohortPlan, SweepPlan
from pipeline.stages.sweep.plan.students import StudentPlan
from pipeline.stages.sweep.student.run import FULL_PRECISION, TRAINED
from pipeline.stages.sweep.train import prune_heads, pseudo_labels
from pipeline.stages.sweep.train.cohort_worker import CohortWork, train_students
from pipeline.stages.sweep.train.quantize_worker import QuantizingWork, quantize_students
from pipeline.stages.teacher.finished import TeacherResult
from pipeline.storage.sealed_json import sealed_json
from pipeline.tracking.tracker import FoundRun, Tracker

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class StudentResult:
    """A student after training: its run, its metrics, why it failed or was given up."""

    name: str
    key: str
    run_id: str | None
    failure: str | None
    stopped: str | None  # given up early, as the sweep's settings want it: no failure
    metrics: dict[str, float]
    requested: bool  # by this submission; false: an earlier one trained it
    group: str  # what it is called without its seed
    trained_key: str | None = None  # of a student that was quantized without training: its like that was trained
    full_precision_key: str | None = None  # and the one that is not quantized


def run(
    job: OpenedJob[SweepJob], plan: SweepPlan, teacher: TeacherResult, parent_run_id: str
) -> tuple[list[StudentResult], list[Exception]]:
    """Train the students that are left, cohorts at the same time as far as the cluster has room.

    When they have ended, what needs no training is quantized: it may be one of them, in less bits.

    Returns:
        all students of the sweep, and the errors of cohorts that failed as a whole; the others are trained anyway.
    """
    tracker = open_tracker(job.config)
    for student in plan.students:
        if student.key in plan.already_done:
            tracker.adopt(plan.already_done[student.key], parent_run_id)
            log.info(f"student {student.name}: found {plan.already_done[student.key].state}")
    errors: list[Exception] = []

    def ended(name: str, error: Exception | None) -> None:
        if error is not None:  # the other cohorts know nothing of it
            log.error(f"{name} failed: {type(error).__name__}: {error}")
            errors.append(error)

    calls: dict[str, Callable[[], None]] = {}
    for number, cohort in enumerate(plan.cohorts, 1):
        name = f"cohort {number} of {len(plan.cohorts)}"
        try:
            work = _prepare(job, plan, cohort, teacher, parent_run_id, name)
        except Exception as error:
            ended(name, error)
            continue
        calls[name] = partial(_train, job, work, cohort.memory_bytes, tracker)
    try:
        run_side_by_side(calls, job.config.cluster, ended)
        calls = {
            f"quantizing without training {number} of {len(plan.untrained)}": partial(
                _quantize, job, group, teacher, parent_run_id, tracker
            )
            for number, group in enumerate(plan.untrained, 1)
        }
        run_side_by_side(calls, job.config.cluster, ended)
    except BaseException as error:  # an interrupt: what still claims to run does not
        for student in plan.students:
            tracker.fail_if_running("student", student.key, f"{type(error).__name__}: {error}")
        raise
    return _results(tracker, parent_run_id, plan), errors


def _prepare(
    job: OpenedJob[SweepJob], plan: SweepPlan, cohort: CohortPlan, teacher: TeacherResult, parent_run_id: str, name: str
) -> CohortWork:
    """What comes before training: the texts to learn, the heads to keep; what the workers are sent."""
    config, keys = job.config, [student.key for student in cohort.students]
    training_tokens = pseudo_labels.run(job, teacher, cohort.students[0].sequence)
    for student in cohort.students:
        prune_heads.run(job, teacher, student, training_tokens)
    checkpoints = plan.folder / "checkpoints" / config_hash(keys)
    if not cohort.continues:
        shutil.rmtree(checkpoints, ignore_errors=True)  # of the same students, who are not to go on from it
    sealed_json(checkpoints / COHORT, keys)
    return CohortWork(
        config=config,
        task=job.task,
        name=name,
        teacher_result=teacher,
        students=cohort.students,
        already_done=frozenset(plan.already_done),
        training_tokens=training_tokens,
        checkpoints=checkpoints,
        parent_run_id=parent_run_id,
    )


def _train(job: OpenedJob[SweepJob], work: CohortWork, memory_bytes: float, tracker: Tracker) -> None:
    keys = [student.key for student in work.students]
    with _telling_runs(tracker, keys):
        run_workers(
            train_students,
            work,
            job.config.cluster,
            name=f"cohort-{config_hash(keys)}",
            storage_path=job.storage.root / "ray",
            memory_bytes=memory_bytes,
        )


def _quantize(
    job: OpenedJob[SweepJob], group: CohortPlan, teacher: TeacherResult, parent_run_id: str, tracker: Tracker
) -> None:
    keys = [student.key for student in group.students]
    looks_at_batch = any(student.scheme.learns_activations for student in group.students)
    work = QuantizingWork(
        config=job.config,
        task=job.task,
        teacher_result=teacher,
        students=group.students,
        training_tokens=pseudo_labels.run(
            job, teacher, group.students[0].sequence if looks_at_batch else SequenceConfig()
        ),
        parent_run_id=parent_run_id,
    )
    with _telling_runs(tracker, keys):
        run_workers(
            quantize_students,
            work,
            job.config.cluster,
            name=f"quantize-{config_hash(keys)}",
            storage_path=job.storage.root / "ray",
            memory_bytes=group.memory_bytes,
        )


@contextmanager
def _telling_runs(tracker: Tracker, keys: Sequence[str]) -> Iterator[None]:
    try:
        yield
    except BaseException as error:  # a worker that was killed could not say so itself
        for key in keys:
            tracker.fail_if_running("student", key, f"{type(error).__name__}: {error}")
        raise


def _results(tracker: Tracker, parent_run_id: str, plan: SweepPlan) -> list[StudentResult]:
    """All students of the sweep: those asked for now in their order, then those of earlier submissions."""
    by_key = {child.tags["dq.key"]: child for child in tracker.children(parent_run_id)}
    requested = {student.key: student for student in plan.students}
    earlier = sorted(set(by_key) - set(requested), key=lambda key: by_key[key].name)
    mine = [
        _result(by_key[key], True) if key in by_key else _never_began(student) for key, student in requested.items()
    ]
    return [*mine, *(_result(by_key[key], False) for key in earlier)]


def _never_began(student: StudentPlan) -> StudentResult:
    """Its cohort failed before it had a run."""
    return StudentResult(
        name=student.name,
        key=student.key,
        run_id=None,
        failure="its cohort failed before it began",
        stopped=None,
        metrics={},
        requested=True,
        group=student.group,
    )


def _result(run: FoundRun, requested: bool) -> StudentResult:
    already_done = run.finished or run.stopped is not None
    return StudentResult(
        name=run.name,
        key=run.tags["dq.key"],
        run_id=run.run_id,
        failure=None if already_done else run.tags.get("dq.failure", "not finished"),
        stopped=run.stopped,
        metrics=run.metrics,
        requested=requested,
        group=run.tags.get("dq.group", ""),
        trained_key=run.tags.get(TRAINED),
        full_precision_key=run.tags.get(FULL_PRECISION),
    )
