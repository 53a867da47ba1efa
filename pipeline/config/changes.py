"""Configurations that differ in a few settings: making one, and saying in what two differ."""

from __future__ import annotations

import dataclasses
import typing
from typing import Any, TypeVar

from pipeline.config.build import build, to_dict
from pipeline.config.errors import UserError
from pipeline.config.former_names import with_todays_names

Schema = TypeVar("Schema")


def changed(config: Schema, changes: dict[str, Any], key: str) -> Schema:
    """A copy of a schema dataclass with some of its settings changed; sections may be given in part.

    Args:
        config: the settings to start from.
        changes: nested dictionary of what differs.
        key: dotted name, for messages.

    Raises:
        UserError: unknown key, wrong type, value outside the allowed ones.
    """

    def merged(known: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
        both = {
            n: merged(known[n], v) for n, v in new.items() if isinstance(v, dict) and isinstance(known.get(n), dict)
        }
        return {**known, **new, **both}

    return build(type(config), merged(to_dict(config), with_todays_names(changes, type(config), key)), key)


def difference(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """What must change in nested settings, section by section, to make them others of the same schema.

    Raises:
        UserError: a name would have to go, which changes cannot say.
    """
    if gone := sorted(set(old) - set(new)):
        raise UserError(
            f"sweep.recipes beside a recipe that sets '{gone[0]}'", "recipes that can replace it", "set it in a variant"
        )
    return {
        name: difference(old[name], value) if isinstance(value, dict) and name in old else value
        for name, value in new.items()
        if name not in old or old[name] != value
    }


def with_sections(config: Schema, **sections: Any) -> Schema:
    """A copy of a job's configuration with other sections; for jobs of which only their protocol is known.

    Args:
        config: the root dataclass of a job.
        sections: its sections by name.
    """
    return typing.cast(Schema, dataclasses.replace(typing.cast(Any, config), **sections))
