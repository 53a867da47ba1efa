"""Which students a sweep has, under which names, and whether they are possible."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipeline.cluster.ray_train import check_memory
from pipeline.config.build import changed
from pipeline.config.errors import UserError
from pipeline.config.load import config_hash
from pipeline.config.schema import JobConfig, RecipeConfig, StudentConfig
from pipeline.distillation.layer_map import layer_map
from pipeline.models import bart
from pipeline.quantization.footprint import rule_p_bytes
from pipeline.quantization.scheme import Scheme, scheme_of
from pipeline.stages.job import OpenedJob
from pipeline.stages.storage import MIN_FREE_BYTES, check_free
from pipeline.stages.teacher import TeacherResult

# Bytes of an idle worker process with its libraries, seen on CPU.
WORKER_BYTES = 1.0 * 2**30
BYTES_PER_PARAMETER = 16  # fp32 shadow weight, gradient, two AdamW moments


@dataclass(frozen=True, kw_only=True)
class StudentPlan:
    """One student of a sweep with everything that is decided before training."""

    config: StudentConfig
    key: str
    encoder_map: list[int]
    decoder_map: list[int]

    @property
    def name(self) -> str:
        """What a person calls it."""
        return self.config.name

    def packed(self, sweep: Path) -> Path:
        """Where its package lies below the folder of its sweep."""
        return sweep / "students" / self.key / "packed"


def sweep_key(config: JobConfig, teacher: TeacherResult) -> str:
    """The name of a sweep: teacher, recipe and training, but not the list of students, which may grow."""
    training = {name: value for name, value in asdict(config.student).items() if not name.endswith("_every_steps")}
    return config_hash(teacher.key, asdict(config.recipe), training, config.seed)


def check_possible(job: OpenedJob) -> None:
    """Refuse an impossible sweep before the teacher is trained.

    Raises:
        UserError: a depth that the teacher does not have, another objective than the task's, or too little memory or
            disk.
    """
    if job.config.task.objective != "supervised":
        raise UserError(
            f"task.objective={job.config.task.objective} in a sweep",
            "supervised; denoising is for jobs/finetune_teacher.py",
            "set task.objective=supervised",
        )
    layer_maps(job.config, job.shape)
    for student in job.config.sweep.students:
        scheme = scheme_of(student.scheme, recipe_of(job.config, student).quantisation)
        bart.check_scheme(job.shape, scheme)
    check_room(job, len(job.config.sweep.students))


def check_room(job: OpenedJob, num_models: int) -> None:
    """Refuse what fits neither disk nor memory: so many models as large as the teacher, trained at once.

    Raises:
        UserError: too little of either.
    """
    num_parameters, config = _num_parameters(job.shape), job.config
    # Two checkpoints exist while one replaces the other.
    checkpoints = 2 * num_models * BYTES_PER_PARAMETER * num_parameters
    check_free(job.storage.root, MIN_FREE_BYTES + checkpoints)
    trained = num_models * BYTES_PER_PARAMETER * num_parameters
    replica = 4 * num_parameters  # the teacher beside its students, or the copy that validates it
    tokens = max(config.student.micro_batch_tokens, config.teacher.micro_batch_tokens)
    activations = 64.0 * tokens * math.sqrt(num_parameters)  # grows with width x depth
    check_memory(config.cluster.num_workers * (WORKER_BYTES + trained + replica + activations), config.cluster)


def recipe_of(config: JobConfig, student: StudentConfig) -> RecipeConfig:
    """The sweep's recipe with what the student changes.

    Raises:
        UserError: a change that the schema does not allow.
    """
    return changed(config.recipe, student.recipe, f"recipe of student '{student.name}'")


def layer_maps(config: JobConfig, shape: Any) -> list[tuple[list[int], list[int]]]:
    """Encoder and decoder layer map of every student.

    Args:
        config: the job.
        shape: the teacher's configuration.

    Raises:
        UserError: a depth or layer map that the teacher does not have.
    """
    maps = []
    for student in config.sweep.students:
        num_encoder, num_decoder = (int(layers) for layers in student.depth.split("-"))
        encoder = layer_map(shape.encoder_layers, num_encoder, student.encoder_map)
        maps.append((encoder, layer_map(shape.decoder_layers, num_decoder, student.decoder_map)))
    return maps


def plan_students(job: OpenedJob, teacher: TeacherResult) -> list[StudentPlan]:
    """The students of a sweep in their order.

    Raises:
        UserError: a depth or layer map that the teacher does not have.
    """
    key = sweep_key(job.config, teacher)
    return [
        StudentPlan(config=student, key=config_hash(key, asdict(student)), encoder_map=encoder, decoder_map=decoder)
        for student, (encoder, decoder) in zip(
            job.config.sweep.students, layer_maps(job.config, job.shape), strict=True
        )
    ]


def scheme_of_student(config: JobConfig, plan: StudentPlan) -> Scheme:
    """The scheme of a student under the job's recipe."""
    return scheme_of(plan.config.scheme, recipe_of(config, plan.config).quantisation)


def _num_parameters(shape: Any) -> float:
    return rule_p_bytes(bart.shape_of(shape), 32, 32) / 4
