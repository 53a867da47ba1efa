"""Whether a sweep is possible: said before anything is trained."""

from __future__ import annotations

from typing import Any

from torch import nn

from pipeline.cluster.room import GIB, worker_memory_bytes
from pipeline.config.errors import Mistakes, UserError
from pipeline.config.recipe import DECODER_TERMS
from pipeline.config.schema import JobConfig
from pipeline.config.sweep import StudentConfig
from pipeline.console.progress import say
from pipeline.distillation.layer_map import student_maps
from pipeline.distillation.recording import check_relations
from pipeline.models.families import family_of
from pipeline.models.student import check_scheme, outline, sites_of
from pipeline.quantization.schedule import phases_of
from pipeline.quantization.scheme import scheme_of
from pipeline.stages.fitting import for_each
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
from pipeline.stages.plan import recipe_of
from pipeline.storage.layout import MIN_FREE_BYTES, check_free


def check_possible(config: JobConfig, shape: Any) -> None:
    """Refuse a sweep that a teacher of this configuration cannot have, before anything is read or trained.

    Raises:
        UserError: depths, schemes, schedules or relations that do not fit.
    """
    layers = family_of(shape).num_layers(shape)
    num_layers = dict(zip(("encoder", "decoder"), layers, strict=True))
    model = outline(shape)
    query = model.get_submodule(sites_of(model).attentions[0].query)
    assert isinstance(query, nn.Linear)

    def check(student: StudentConfig) -> None:
        recipe, mistakes = recipe_of(config, student), Mistakes()
        with mistakes.noted():
            student_maps(student, layers)
        with mistakes.noted():
            check_scheme(shape, scheme_of(student.scheme, recipe.quantisation))
        with mistakes.noted():
            phases_of(recipe.schedule, recipe.quantisation, scheme_of(student.scheme, recipe.quantisation))
        with mistakes.noted():
            check_relations(recipe.distillation, num_layers, query.out_features)
        mistakes.tell()

    for_each(config.sweep.points(), check)


def say_ignored(config: JobConfig) -> None:
    """Name the losses that do not concern students without a decoder."""
    if config.task.objective != "classification":
        return
    for student in config.sweep.points():
        weights = recipe_of(config, student).distillation
        if student.distil and (ignored := [term for term in DECODER_TERMS if getattr(weights, term)]):
            say(f"student {student.name}: a classifier has no decoder, ignored: {', '.join(ignored)}")


def check_teacher_room(job: OpenedJob) -> None:
    """Refuse a teacher that cannot be fine-tuned here.

    Raises:
        UserError: too little disk, or too little memory in a worker.
    """
    num, config = num_parameters(job.shape), job.config
    check_free(job.storage.root, MIN_FREE_BYTES + checkpoint_bytes([num]))
    work, validation = work_of(job.shape), job.task.split("validation").lengths()
    batches = micro_batches(job.task.split("train").lengths(), config.teacher, config.cluster.num_workers, config.seed)
    validation = validation[: config.evaluation.max_validation_examples]
    largest = max(pass_bytes(work, batches), evaluation_bytes(work, validation, config.evaluation.batch_tokens))
    needed, room = teacher_bytes(num, largest, config), worker_memory_bytes(config.cluster)
    if needed > room:
        raise UserError(
            f"the teacher needs about {needed / GIB:.1f} GiB in each of {config.cluster.num_workers} workers",
            f"{room / GIB:.1f} GiB for each here",
            "lower cluster.num_workers, teacher.micro_batch_tokens or evaluation.batch_tokens, or set "
            "cluster.worker_memory_gib",
        )
