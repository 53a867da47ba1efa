"""What the workers of a cohort do: train it on one teacher pass, then pack and finish each student."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from pipeline.config.jobs.dq_sweep import SweepJob
from pipeline.data.tokenise import load_tokenised
from pipeline.models.load import load_model
from pipeline.stages.evaluate import evaluation_examples
from pipeline.stages.prepare_data import PreparedTask
from pipeline.stages.sweep.plan.cohorts import note_comparisons
from pipeline.stages.sweep.plan.students import StudentPlan
from pipeline.stages.sweep.student.finish import finish_student
from pipeline.stages.sweep.student.objectives import teacher_pass
from pipeline.stages.sweep.student.pack import pack_student
from pipeline.stages.sweep.student.run import start_student_run
from pipeline.stages.sweep.student.score import Evaluation
from pipeline.stages.sweep.student.start import student_learner
from pipeline.stages.sweep.train.early_stopping import EarlyStopping
from pipeline.stages.teacher.finished import TeacherResult
from pipeline.stages.training import num_training_steps, train_with_checkpoints, training_batches, worker_device
from pipeline.tracking.run import NoOpRun, Run
from pipeline.training.checkpoint import Checkpointer
from pipeline.training.collective import rank

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class CohortWork:
    """What the workers of a cohort are sent.

    Args:
        config: the job.
        task: its data.
        name: of the cohort, for people.
        teacher_result: the fine-tuned teacher.
        students: the cohort.
        already_done: keys of students that take part only because their cohort goes on from a checkpoint.
        training_tokens: folder of the split that they are trained on.
        checkpoints: folder of the cohort's checkpoints.
        parent_run_id: run of the sweep.
    """

    config: SweepJob
    task: PreparedTask
    name: str
    teacher_result: TeacherResult
    students: list[StudentPlan]
    already_done: frozenset[str]
    training_tokens: Path
    checkpoints: Path
    parent_run_id: str


def train_students(work: CohortWork) -> None:
    """Worker: train this rank's share of a cohort, then pack and finish every student that is left."""
    config, plans, train = work.config, work.students, work.config.student
    tokenizer, device = work.task.tokenizer(), worker_device(config.cluster)
    teacher = load_model(Path(work.teacher_result.folder), device)
    split, seed = load_tokenised(work.training_tokens, "train"), plans[0].seed
    batches, unsharded_batches = (
        training_batches(split, train, config, tokenizer, teacher.config, seed, sharded) for sharded in (True, False)
    )
    num_steps = num_training_steps(batches, train)
    if rank() == 0:
        note_comparisons(work.checkpoints, config.sweep.stopping, num_steps)
    with ExitStack() as stack:
        runs = [stack.enter_context(_run_of(plan, work)) for plan in plans]
        learners = [
            student_learner(
                plan, teacher, config, listener=run, unsharded_batches=unsharded_batches, num_steps=num_steps
            )
            for plan, run in zip(plans, runs, strict=True)
        ]
        train_with_checkpoints(
            learners,
            batches,
            num_steps,
            train,
            stage=work.name,
            folder=work.checkpoints,
            device=device,
            teacher_pass=teacher_pass(teacher, [learner.objective for learner in learners], config.cluster.precision),
            hooks=EarlyStopping(
                config=config, task=work.task, plans=plans, learners=learners, teacher=teacher, num_steps=num_steps
            ),
        )
        evaluation = Evaluation(
            config=config,
            examples=evaluation_examples(work.task, config),
            labels=work.task.labels,
            tokenizer=tokenizer,
            teacher=teacher,
            teacher_result=work.teacher_result,
        )
        for plan, learner, run in zip(plans, learners, runs, strict=True):
            if plan.key in work.already_done:
                continue
            pack_student(plan, learner, teacher, tokenizer, config.task)
            if learner.failure is not None and rank() == 0:
                log.error(f"student {plan.name} FAILED: {learner.failure}")
            if learner.active:
                finish_student(plan, evaluation, run, num_steps)
    Checkpointer(work.checkpoints).clear()


def _run_of(plan: StudentPlan, work: CohortWork) -> Run:
    """The run of a student; nothing is written of one that is done."""
    if plan.key in work.already_done:
        return NoOpRun()
    return start_student_run(
        plan,
        work.config,
        teacher=work.teacher_result,
        data=work.task.fingerprint,
        parent_run_id=work.parent_run_id,
    )
