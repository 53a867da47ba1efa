"""Whether there is disk and memory to fine-tune a teacher: said before anything is trained."""

from __future__ import annotations

from pipeline.cluster.room import GIB, worker_memory_bytes
from pipeline.config.errors import UserError
from pipeline.config.jobs import TrainsTeacher
from pipeline.stages.job import OpenedJob
from pipeline.stages.memory import (
    checkpoint_bytes,
    evaluation_bytes,
    micro_batches,
    num_parameters,
    pass_bytes,
    teacher_bytes,
    work_of,
)
from pipeline.storage.layout import MIN_FREE_BYTES, check_free


def check_teacher_room(job: OpenedJob[TrainsTeacher]) -> None:
    """Refuse a teacher that cannot be fine-tuned here.

    Raises:
        UserError: too little disk, or too little memory in a worker.
    """
    num, config = num_parameters(job.model_config), job.config
    check_free(job.storage.root, MIN_FREE_BYTES + checkpoint_bytes([num]))
    work, validation = work_of(job.model_config), job.task.split("validation").lengths()
    batches = micro_batches(job.task.split("train").lengths(), config.teacher, config.cluster.num_workers, config.seed)
    validation = validation[: config.evaluation.max_validation_examples]
    largest = max(pass_bytes(work, batches), evaluation_bytes(work, validation, config.evaluation.batch_tokens))
    needed, room = teacher_bytes(num, largest, config.cluster), worker_memory_bytes(config.cluster)
    if needed > room:
        raise UserError(
            f"the teacher needs about {needed / GIB:.1f} GiB in each of {config.cluster.num_workers} workers",
            f"{room / GIB:.1f} GiB for each here",
            "lower cluster.num_workers, teacher.micro_batch_tokens or evaluation.batch_tokens, or set "
            "cluster.worker_memory_gib",
        )
