"""Whether a search is possible: said before anything is trained."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.config.errors import Mistakes, UserError
from pipeline.config.jobs.ose_search import OseSearchJob
from pipeline.config.sections.recipe import LAYER_TERMS
from pipeline.models.families import family_of
from pipeline.stages.search.precheck import searched_students
from pipeline.stages.sweep.plan.checks import check_students, say_without_terms

if TYPE_CHECKING:
    from transformers import PretrainedConfig


def check_possible(config: OseSearchJob, model_config: PretrainedConfig) -> None:
    """Refuse a search that a teacher, or a family, of this configuration cannot have.

    Raises:
        UserError: depths, schemes or patterns that do not fit; models with a decoder of an encoder alone, or without.
    """
    if config.search.kind == "models":
        _check_layers(config, model_config)
        if config.search.distil:
            why = "models of another shape imitate logits alone"
            say_without_terms("search.kind=models", config.recipe.distillation, LAYER_TERMS, why)
        return
    check_students(config, searched_students(config), model_config)


def _check_layers(config: OseSearchJob, model_config: PretrainedConfig) -> None:
    family, given, mistakes = family_of(model_config), config.search.models.decoder_layers, Mistakes()
    if family.decoder is None and given:
        mistakes.add(
            UserError(
                f"search.models.decoder_layers={given} of {family.name}",
                "an empty list: it has no decoder",
                "set search.models.decoder_layers=[]",
            )
        )
    if family.decoder is not None and not given:
        mistakes.add(
            UserError(
                f"search.models.decoder_layers=[] of {family.name}",
                "one depth or more: it has a decoder",
                "set search.models.decoder_layers, e.g. [1,2]",
            )
        )
    mistakes.tell()
