"""Whether a search is possible: said before anything is trained."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from pipeline.config.build import to_dict
from pipeline.config.errors import Mistakes, UserError
from pipeline.config.jobs.ose_search import OseSearchJob
from pipeline.config.sections.recipe import LAYER_TERMS
from pipeline.config.sections.search import SearchConfig
from pipeline.models.families import family_of
from pipeline.stages.search.precheck import searched_students
from pipeline.stages.sweep.plan.checks import check_students, say_without_terms

if TYPE_CHECKING:
    from transformers import PretrainedConfig


# Settings of a search that its kind does not look at.
UNUSED = {
    "students": ("models", "mixed"),
    "models": ("students", "mixed"),
    "mixed_bits": (
        *("students", "models", "size", "inference", "eps", "rule", "keep", "measure", "brute_force_points"),
        *("latency", "num_chosen", "group_size", "max_hours", "training_free"),
    ),
}

log = logging.getLogger(__name__)


def say_ignored(search: SearchConfig) -> None:
    """Name the settings that were set and that the kind of the search, or its rule, does not look at."""
    usual, given, ignored = to_dict(SearchConfig()), to_dict(search), []
    for name in dict.fromkeys((*UNUSED[search.kind], *(() if search.rule == "halving" else ("keep",)))):
        if (value := given[name]) != usual[name]:
            ignored.append(f"search.{name}" if isinstance(value, dict) else f"search.{name}={value}")
    if search.kind == "mixed_bits" and len(search.steps) > 1:
        ignored.append(f"search.steps={search.steps} but for the last")
    if ignored:
        log.warning(f"search.kind={search.kind}, search.rule={search.rule}: ignored: {', '.join(ignored)}")


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
