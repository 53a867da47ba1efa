"""From plain dictionaries to the dataclasses of `schema.py` and back, with errors that name the nearest valid key."""

from __future__ import annotations

import dataclasses
import difflib
import math
import types
import typing
from collections.abc import Iterator
from typing import Any, TypeVar

from pipeline.config.errors import UserError

Schema = TypeVar("Schema")


def build(schema: type[Schema], values: Any, key: str = "") -> Schema:
    """Make one schema dataclass from a dictionary, recursively.

    Args:
        schema: a dataclass of `schema.py`.
        values: its values as plain data.
        key: dotted name of this section, for messages.

    Raises:
        UserError: unknown key, wrong type, value outside the allowed ones.
    """
    if not isinstance(values, dict):
        raise UserError(
            f"{key or 'the configuration'} = {values!r}",
            f"a section with the keys {', '.join(_names(schema))}",
            f"write {key + '.' if key else ''}<key>=<value>",
        )
    hints = typing.get_type_hints(schema)
    fields = {f.name: f for f in dataclasses.fields(typing.cast(Any, schema))}
    for name in values:
        if name not in fields:
            raise UserError(
                f"unknown key '{_join(key, str(name))}'",
                f"in this section: {', '.join(fields)}",
                f"did you mean '{_join(key, nearest(str(name), list(fields)))}'?",
            )
    arguments = {
        name: _checked(_convert(hints[name], value, _join(key, name)), fields[name].metadata, _join(key, name))
        for name, value in values.items()
    }
    return schema(**arguments)


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

    return build(type(config), merged(to_dict(config), changes), key)


def to_dict(config: Any) -> dict[str, Any]:
    """The plain data of a schema dataclass; `build` is its inverse."""
    return dataclasses.asdict(config)


def describe(schema: type[Any], key: str = "") -> Iterator[tuple[str, str, str]]:
    """Every leaf setting as (dotted key, default, meaning with allowed values)."""
    hints = typing.get_type_hints(schema)
    for setting in dataclasses.fields(schema):
        name, hint = _join(key, setting.name), hints[setting.name]
        if dataclasses.is_dataclass(hint):
            yield from describe(typing.cast(type[Any], hint), name)
            continue
        if setting.default_factory is not dataclasses.MISSING:
            default: Any = setting.default_factory()
        else:
            default = setting.default
        meaning = str(setting.metadata["meaning"])
        if setting.metadata["allowed"] is not None:
            meaning += f" (allowed: {', '.join(map(str, setting.metadata['allowed']))})"
        yield name, _shown(default), meaning
        inner = typing.get_args(hint)
        if typing.get_origin(hint) is list and dataclasses.is_dataclass(inner[0]):
            yield from describe(typing.cast(type[Any], inner[0]), f"{name}[i]")


def nearest(name: str, names: list[str]) -> str:
    """The valid name most like the given one."""
    matches = difflib.get_close_matches(name, names, n=1, cutoff=0.0)
    return matches[0] if matches else ""


def _names(schema: Any) -> list[str]:
    return [f.name for f in dataclasses.fields(schema)]


def _join(key: str, name: str) -> str:
    return f"{key}.{name}" if key else name


def _shown(default: Any) -> str:
    if default is None:
        return "none"
    if isinstance(default, list):
        return "[" + ", ".join(_shown(item) for item in default) + "]"
    if dataclasses.is_dataclass(default) and not isinstance(default, type):
        return "{" + ", ".join(f"{k}: {v}" for k, v in to_dict(default).items() if v is not None) + "}"
    return repr(default) if isinstance(default, str) else str(default)


def _convert(hint: Any, value: Any, key: str) -> Any:
    """The value as the hinted type; only exact and lossless conversions."""
    if dataclasses.is_dataclass(hint):
        return build(typing.cast(type[Any], hint), value, key)
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        kinds = [kind for kind in inner if kind is not type(None)]
        fitting = [kind for kind in kinds if (typing.get_origin(kind) is list) == isinstance(value, list)]
        return None if value is None else _convert((fitting or kinds)[0], value, key)
    if origin is list and isinstance(value, list):
        return [_convert(inner[0], item, f"{key}[{i}]") for i, item in enumerate(value)]
    if origin is dict and isinstance(value, dict):
        return {str(name): _convert(inner[1], item, f"{key}.{name}") for name, item in value.items()}
    if hint is Any:
        return value
    if hint is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    if hint is float and isinstance(value, str):
        try:  # YAML reads 3e-4 as text, people mean a number
            return float(value)
        except ValueError:
            pass
    if hint in (int, bool, str) and type(value) is hint:
        return value
    expected = getattr(hint, "__name__", str(hint)).replace("str", "text")
    change = f"write '{value}' in quotes" if hint is str and isinstance(value, (int, float)) else f"set {key} again"
    raise UserError(f"{key}={value!r} ({type(value).__name__})", f"a value of type {expected}", change)


def _checked(value: Any, metadata: Any, key: str) -> Any:
    if value is None:
        return value
    allowed, low, high = (metadata.get(name) for name in ("allowed", "minimum", "maximum"))
    if allowed is not None and value not in allowed:
        hint = f"did you mean {key}={nearest(value, list(allowed))}?" if isinstance(value, str) else f"set {key} again"
        raise UserError(f"{key}={value}", ", ".join(map(str, allowed)), hint)
    if isinstance(value, float) and not math.isfinite(value):
        raise UserError(f"{key}={value}", "a finite number", f"set {key} again")
    if (low is not None and value < low) or (high is not None and value > high):
        bounds = " and ".join(
            text for text, bound in ((f"at least {low}", low), (f"at most {high}", high)) if bound is not None
        )
        raise UserError(f"{key}={value}", bounds, f"set {key} again")
    return value
