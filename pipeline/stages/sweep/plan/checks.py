"""Whether a sweep is possible: said before anything is trained."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import nn

from pipeline.config.errors import Mistakes
from pipeline.config.jobs import TrainsStudents
from pipeline.config.jobs.dq_sweep import SweepJob
from pipeline.config.sections.recipe import DECODER_TERMS
from pipeline.config.sections.sweep import StudentConfig
from pipeline.distillation.layer_map import student_maps
from pipeline.distillation.recording import check_relations
from pipeline.models.families import family_of
from pipeline.models.student import check_scheme, meta_model, sites_of
from pipeline.quantization.schedule import phases_of
from pipeline.quantization.scheme import scheme_of
from pipeline.stages.fitting import for_each
from pipeline.stages.sweep.plan.origins import origin_of
from pipeline.stages.sweep.plan.students import as_decided

if TYPE_CHECKING:
    from transformers import PretrainedConfig

log = logging.getLogger(__name__)


def check_possible(config: SweepJob, model_config: PretrainedConfig) -> None:
    """Refuse a sweep that a teacher of this configuration cannot have, before anything is read or trained.

    Raises:
        UserError: depths, schemes, schedules or relations that do not fit; nothing to quantize without training.
    """
    students = config.sweep.points()
    check_students(config, students, model_config)
    layers = family_of(model_config).num_layers(model_config)
    decided = [as_decided(student, config.recipe) for student in students]
    for_each(
        [student for student in decided if student.training == "ptq"],
        lambda student: origin_of(student, student_maps(student, layers), decided, layers, config.recipe),
    )


def check_students(config: TrainsStudents, students: Sequence[StudentConfig], model_config: PretrainedConfig) -> None:
    """The same of students that are given.

    Raises:
        UserError: as `check_possible` says.
    """
    layers = family_of(model_config).num_layers(model_config)
    num_layers = dict(zip(("encoder", "decoder"), layers, strict=True))
    model = meta_model(model_config)
    query = model.get_submodule(sites_of(model).attentions[0].query)
    assert isinstance(query, nn.Linear)

    def check(student: StudentConfig) -> None:
        recipe, mistakes = student.recipe_under(config.recipe), Mistakes()
        with mistakes.noted():
            student_maps(student, layers)
        with mistakes.noted():
            check_scheme(model_config, scheme_of(student.scheme, recipe.quantization))
        with mistakes.noted():
            phases_of(recipe.schedule, recipe.quantization, scheme_of(student.scheme, recipe.quantization))
        with mistakes.noted():
            check_relations(recipe.distillation, num_layers, query.out_features)
        mistakes.tell()

    for_each(students, check)


def say_ignored(config: SweepJob) -> None:
    """Name the losses that do not concern students without a decoder."""
    facts = config.task.facts
    if facts.has_decoder:
        return
    for student in (student for student in config.sweep.points() if student.training == "qat"):
        weights = student.recipe_under(config.recipe).distillation
        if student.distil and (ignored := [term for term in DECODER_TERMS if getattr(weights, term)]):
            log.warning(f"student {student.name}: a {facts.model} has no decoder, ignored: {', '.join(ignored)}")
