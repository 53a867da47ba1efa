"""One file per model family, each with its adapter `FAMILY`; a new family is a new file."""

from __future__ import annotations

import functools
import importlib
import pkgutil
from typing import TYPE_CHECKING

from pipeline.config.errors import UserError
from pipeline.config.objectives import ModelKind
from pipeline.models.family import Family

if TYPE_CHECKING:
    from transformers import PretrainedConfig


@functools.cache
def families() -> dict[str, Family]:
    """Every family by name, as the kind of model that it usually is."""
    modules = [importlib.import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__)]
    return {module.FAMILY.name: module.FAMILY for module in modules}


def family_named(name: str, kind: ModelKind | None = None) -> Family:
    """The family of that name.

    Args:
        name: of the family.
        kind: of its models; none: the usual one.

    Raises:
        UserError: there is none, or its models are never of that kind.
    """
    if name not in families():
        raise UserError(
            f"model family '{name}'", f"one of {', '.join(sorted(families()))}", "set model.pretrained or model.family"
        )
    usual = families()[name]
    found = [one for one in (usual, *usual.other_kinds) if kind in (None, one.kind)]
    if not found:
        raise UserError(f"a {kind} of the family {name}", f"a {usual.kind}", "choose another model or another task")
    return found[0]


def family_of(model_config: PretrainedConfig) -> Family:
    """The family of a model's configuration, as the kind of model that its `architectures` name, or else the usual one.

    Raises:
        UserError: no adapter knows it.
    """
    usual = family_named(model_config.model_type)
    named = model_config.architectures or ()
    return next((one for one in (usual, *usual.other_kinds) if one.model_class.__name__ in named), usual)


def become(model_config: PretrainedConfig, kind: ModelKind | None) -> None:
    """Let a configuration say that its model is of a kind, in place; none: of the family's usual one.

    A checkpoint of masked words may be read as a classifier, and the other way round, each with a new head.

    Raises:
        UserError: as of `family_named`.
    """
    model_config.architectures = [family_named(model_config.model_type, kind).model_class.__name__]
