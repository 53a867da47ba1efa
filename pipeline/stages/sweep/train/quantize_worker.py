"""What workers do with students that are quantized without training: no learner, no engine, no step of a cohort."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from pipeline.config.jobs.dq_sweep import SweepJob
from pipeline.data.tokenise import load_tokenised
from pipeline.export.package import MANIFEST
from pipeline.models.load import load_model
from pipeline.stages.evaluate import evaluation_examples
from pipeline.stages.prepare_data import PreparedTask
from pipeline.stages.runs import open_tracker
from pipeline.stages.sweep.plan.students import StudentPlan
from pipeline.stages.sweep.student.finish import finish_student
from pipeline.stages.sweep.student.pack import write_student
from pipeline.stages.sweep.student.run import start_student_run
from pipeline.stages.sweep.student.score import Evaluation
from pipeline.stages.sweep.student.start import started_student
from pipeline.stages.teacher.finished import TeacherResult
from pipeline.stages.training import training_batches, worker_device
from pipeline.tracking.run import Run
from pipeline.training.collective import barrier, gather_objects, rank

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class QuantizingWork:
    """What the workers are sent.

    Args:
        config: the job.
        task: its data.
        teacher_result: the fine-tuned teacher.
        students: of one seed and one sequence of batches, of which the first calibrates learned activation scales.
        training_tokens: folder of the split that they would be trained on.
        parent_run_id: run of the sweep.
    """

    config: SweepJob
    task: PreparedTask
    teacher_result: TeacherResult
    students: list[StudentPlan]
    training_tokens: Path
    parent_run_id: str


def quantize_students(work: QuantizingWork) -> None:
    """Worker: pack every student as it would be before its first step, and finish it."""
    config, tokenizer, device = work.config, work.task.tokenizer(), worker_device(work.config.cluster)
    teacher = load_model(Path(work.teacher_result.folder), device)
    split, seed = load_tokenised(work.training_tokens, "train"), work.students[0].seed
    batches = training_batches(split, config.student, config, tokenizer, teacher.config, seed, sharded=False)
    evaluation = Evaluation(
        config=config,
        examples=evaluation_examples(work.task, config),
        labels=work.task.labels,
        tokenizer=tokenizer,
        teacher=teacher,
        teacher_result=work.teacher_result,
    )
    for plan in work.students:
        start = start_student_run(
            plan,
            config,
            teacher=work.teacher_result,
            data=work.task.fingerprint,
            parent_run_id=work.parent_run_id,
        )
        with start as run:
            # Rank 0 decides for all: what another one sees of shared storage could leave the others waiting.
            if missing := gather_objects(_missing(plan, config) if rank() == 0 else None)[0]:
                _give_up(run, plan, *missing)
                continue
            if rank() == 0:
                write_student(plan, started_student(plan, teacher, batches), tokenizer, config.task)
            barrier()
            finish_student(plan, evaluation, run, num_steps=0)


def _missing(plan: StudentPlan, config: SweepJob) -> tuple[str, bool] | None:
    """Why a student cannot be made, and whether the sweep's settings want it so: what it comes from is not there."""
    assert plan.untrained is not None
    origin = plan.untrained.origin
    if origin is None or (origin.packed_folder / MANIFEST).is_file():
        return None
    trained = open_tracker(config).find("student", origin.key)
    is_stopped = trained is not None and trained.stopped is not None
    ending = "given up early" if is_stopped else "not finished"
    return f"student '{origin.name}', which it is before it is quantized, was {ending}", is_stopped


def _give_up(run: Run, plan: StudentPlan, reason: str, is_stopped: bool) -> None:
    """End a student's run as that of the one that it comes from has ended: stopped, which is no failure, or failed."""
    if is_stopped:
        run.stopped(reason)
    else:
        run.failed(reason)
    if rank() == 0 and is_stopped:
        log.info(f"student {plan.name}: {reason}")
    elif rank() == 0:
        log.error(f"student {plan.name} FAILED: {reason}")
