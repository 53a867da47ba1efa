"""Whether there is disk and memory for a pre-training: said before anything is trained."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.cluster.room import GIB, worker_memory_bytes
from pipeline.config.errors import UserError
from pipeline.config.jobs.bort_pretrain import PretrainJob
from pipeline.stages.job import OpenedJob
from pipeline.stages.memory import (
    checkpoint_bytes,
    cohort_bytes,
    evaluation_bytes,
    micro_batches,
    num_parameters,
    pass_bytes,
    work_of,
)
from pipeline.stages.pretrain.cohorts import Cohort
from pipeline.stages.pretrain.plan import PretrainPlan
from pipeline.stages.teacher.room import check_teacher_room
from pipeline.storage.layout import MIN_FREE_BYTES, check_free


def check_pretraining_room(job: OpenedJob[PretrainJob], plan: PretrainPlan, cohorts: Sequence[Cohort]) -> float:
    """Refuse a pre-training that has no room here.

    Args:
        job: the job.
        plan: says which models.
        cohorts: one or more that are left to be trained.

    Returns:
        the memory that one worker needs, in bytes.

    Raises:
        UserError: too little disk, or too little memory in a worker.
    """
    check_teacher_room(job)
    config, students = job.config, [plan.num_parameters] * max(len(cohort.models) for cohort in cohorts)
    check_free(job.storage.root, MIN_FREE_BYTES + checkpoint_bytes(students))
    batches = micro_batches(job.task.split("train").lengths(), config.student, config.cluster.num_workers, config.seed)
    work, teacher = work_of(plan.model_config), work_of(job.model_config)
    held_out = job.task.split("validation").lengths()[: config.evaluation.max_validation_examples]
    largest = max(
        pass_bytes(work, batches, teacher, compares_attention=config.pretraining.weights.compares_attention),
        evaluation_bytes(teacher, held_out, config.evaluation.batch_tokens),
    )
    needed = cohort_bytes(students, [False] * len(students), num_parameters(job.model_config), largest, config.cluster)
    room = worker_memory_bytes(config.cluster)
    if needed > room:
        raise UserError(
            f"pre-training needs about {needed / GIB:.1f} GiB in each of {config.cluster.num_workers} workers",
            f"{room / GIB:.1f} GiB for each here",
            "lower cluster.num_workers, student.micro_batch_tokens or evaluation.batch_tokens, set "
            "pretraining.compare=false, or set cluster.worker_memory_gib",
        )
    return needed
