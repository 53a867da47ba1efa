"""Whether a sweep is possible: said before anything is trained."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import nn

from pipeline.config.errors import Mistakes
from pipeline.config.jobs import DistilsStudents, TrainsStudents
from pipeline.config.jobs.dq_sweep import SweepJob
from pipeline.config.sections.recipe import DECODER_TERMS, DistillationConfig
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


def say_without_decoder(config: DistilsStudents, students: Sequence[StudentConfig]) -> None:
    """Name the losses that do not concern students without a decoder."""
    facts = config.task.facts
    if not facts.has_decoder:
        for student in (student for student in students if student.training == "qat" and student.distil):
            weights = student.recipe_under(config.recipe).distillation
            say_without_terms(f"student {student.name}", weights, DECODER_TERMS, f"a {facts.model} has no decoder")


def say_without_terms(who: str, weights: DistillationConfig, terms: Sequence[str], why: str) -> None:
    """Name those losses that have a weight and count 0 all the same.

    Args:
        who: has these losses.
        weights: their weights.
        terms: names of those that it cannot have.
        why: that is so.
    """
    if ignored := [term for term in terms if getattr(weights, term)]:
        log.warning(f"{who}: {why}, ignored: {', '.join(ignored)}")
