"""One file per model family, each with its adapter `FAMILY`; a new family is a new file."""

from __future__ import annotations

import functools
import importlib
import pkgutil
from typing import TYPE_CHECKING

from pipeline.config.errors import UserError
from pipeline.models.family import Family

if TYPE_CHECKING:
    from transformers import PretrainedConfig


@functools.cache
def families() -> dict[str, Family]:
    """Every family by name."""
    modules = [importlib.import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__)]
    return {module.FAMILY.name: module.FAMILY for module in modules}


def family_named(name: str) -> Family:
    """The family of that name.

    Raises:
        UserError: there is none.
    """
    if name not in families():
        raise UserError(
            f"model family '{name}'", f"one of {', '.join(sorted(families()))}", "set model.pretrained or model.family"
        )
    return families()[name]


def family_of(model_config: PretrainedConfig) -> Family:
    """The family of a model's configuration.

    Raises:
        UserError: no adapter knows it.
    """
    return family_named(model_config.model_type)
