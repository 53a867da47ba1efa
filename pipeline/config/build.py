"""From plain dictionaries to the dataclasses of sections and back, with errors that name the nearest valid key."""

from __future__ import annotations

import dataclasses
import difflib
import types
import typing
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, TypeVar

from pipeline.config.bounds import check_bounds
from pipeline.config.errors import Mistakes, UserError
from pipeline.config.former_names import dotted, with_todays_names
from pipeline.config.option import check_relations, default_of, left_out_of

Schema = TypeVar("Schema")


def build(schema: type[Schema], values: Any, key: str = "", mistakes: Mistakes | None = None) -> Schema:
    """Make one schema dataclass from a dictionary, recursively.

    Args:
        schema: the dataclass of a section or job.
        values: its values as plain data.
        key: whole name of this section, for messages.
        mistakes: what is known to be wrong already; told together with what is found here.

    Raises:
        UserError: every unknown key, wrong type, value outside the allowed ones, and every relation that does not hold.
    """
    mistakes = mistakes or Mistakes()
    built = build_known(schema, values, key, mistakes)
    mistakes.tell()
    return built


def build_known(schema: type[Schema], values: Any, key: str, mistakes: Mistakes) -> Schema:
    """The same with defaults in place of what is wrong; `mistakes` says what, and `mistakes.concern` where."""
    return typing.cast(Schema, _section(schema, with_todays_names(values, schema, key), key, mistakes))


def _section(
    schema: type[Any], values: Any, key: str, mistakes: Mistakes, without: frozenset[str] = frozenset()
) -> Any:
    """The dataclass; where something in it is wrong, without a check of the whole and with defaults in that place.

    Settings in `without` are none here: a job that shares the section has no use for them.
    """
    if not isinstance(values, dict):
        error = UserError(
            f"{key or 'the configuration'} = {values!r}",
            f"a section with the keys {', '.join(_names(schema))}",
            f"write {key + '.' if key else ''}<key>=<value>",
        )
        mistakes.add(error, key)
        return _in_part(schema, {})
    hints = typing.get_type_hints(schema)
    fields = {f.name: f for f in dataclasses.fields(schema) if f.name not in without}
    arguments: dict[str, Any] = {}
    for name, value in values.items():
        whole = dotted(key, str(name))
        if name not in fields:
            meant = dotted(key, nearest(str(name), list(fields)))
            allowed = f"in this section: {', '.join(fields)}"
            mistakes.add(UserError(f"unknown key '{whole}'", allowed, f"did you mean '{meant}'?"), meant)
        else:
            with mistakes.noted(whole):
                converted = _converted(fields[name], hints[name], value, whole, mistakes)
                arguments[name] = _checked(converted, fields[name].metadata, whole)
    unknown = {name for name in fields if mistakes.concern(dotted(key, name))}
    with mistakes.noted(key):
        if not unknown:
            return schema(**arguments)
        check_relations(_in_part(schema, arguments), unknown)
    return _in_part(schema, arguments)


def _converted(setting: dataclasses.Field[Any], hint: Any, value: Any, key: str, mistakes: Mistakes) -> Any:
    if dataclasses.is_dataclass(hint):
        return _section(typing.cast(type[Any], hint), value, key, mistakes, left_out_of(setting))
    return _convert(hint, value, key, mistakes)


def _in_part(schema: type[Any], arguments: dict[str, Any]) -> Any:
    """A schema dataclass that nothing has checked, with defaults in place of what is missing."""
    part = object.__new__(schema)
    for setting in dataclasses.fields(schema):
        object.__setattr__(part, setting.name, arguments.get(setting.name, default_of(setting)))
    return part


def to_dict(config: Any, without: frozenset[str] = frozenset()) -> dict[str, Any]:
    """The plain data of a schema dataclass, of a job without what it has no use for; `build` is its inverse."""
    return {
        setting.name: _plain(getattr(config, setting.name), left_out_of(setting))
        for setting in dataclasses.fields(config)
        if setting.name not in without
    }


def _plain(value: Any, without: frozenset[str]) -> Any:
    if dataclasses.is_dataclass(value):
        return to_dict(value, without)
    if isinstance(value, list):
        return [_plain(item, frozenset()) for item in value]
    if isinstance(value, dict):
        return {name: _plain(item, frozenset()) for name, item in value.items()}
    return value


def describe(schema: type[Any], key: str = "", without: frozenset[str] = frozenset()) -> Iterator[tuple[str, str, str]]:
    """Every leaf setting as (whole key, default, meaning with allowed values)."""
    hints = typing.get_type_hints(schema)
    for setting in dataclasses.fields(schema):
        if setting.name in without:
            continue
        name, hint = dotted(key, setting.name), hints[setting.name]
        if dataclasses.is_dataclass(hint):
            yield from describe(typing.cast(type[Any], hint), name, left_out_of(setting))
            continue
        meaning = str(setting.metadata["meaning"])
        if setting.metadata["allowed"] is not None:
            meaning += f" (allowed: {', '.join(map(str, setting.metadata['allowed']))})"
        yield name, _shown(default_of(setting)), meaning
        inner = typing.get_args(hint)
        if typing.get_origin(hint) is list and dataclasses.is_dataclass(inner[0]):
            yield from describe(typing.cast(type[Any], inner[0]), f"{name}[i]")


def nearest(name: str, names: list[str]) -> str:
    """The valid name most like the given one."""
    matches = difflib.get_close_matches(name, names, n=1, cutoff=0.0)
    return matches[0] if matches else ""


def _names(schema: Any) -> list[str]:
    return [f.name for f in dataclasses.fields(schema)]


def _shown(default: Any) -> str:
    if default is None:
        return "none"
    if isinstance(default, list):
        return "[" + ", ".join(_shown(item) for item in default) + "]"
    if dataclasses.is_dataclass(default) and not isinstance(default, type):
        return "{" + ", ".join(f"{k}: {v}" for k, v in to_dict(default).items() if v is not None) + "}"
    return repr(default) if isinstance(default, str) else str(default)


def _convert(hint: Any, value: Any, key: str, mistakes: Mistakes) -> Any:
    """The value as the hinted type; only exact and lossless conversions. Mistakes inside it are added to the others."""
    if dataclasses.is_dataclass(hint):
        return _section(typing.cast(type[Any], hint), value, key, mistakes)  # an item of a list
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        kinds = [kind for kind in inner if kind is not type(None)]
        fitting = [kind for kind in kinds if (typing.get_origin(kind) is list) == isinstance(value, list)]
        if value is None and type(None) in inner:
            return None
        return _convert((fitting or kinds)[0], value, key, mistakes)
    if origin is list and isinstance(value, list):
        items = _convert_all(inner[0], {f"{key}[{i}]": item for i, item in enumerate(value)}, mistakes)
        return list(items.values())
    if origin is dict and isinstance(value, dict):
        items = _convert_all(inner[1], {f"{key}.{name}": item for name, item in value.items()}, mistakes)
        return dict(zip(map(str, value), items.values(), strict=True))
    if hint is Any:
        return value
    if hint is float and type(value) in (int, float, str) and str(value).isascii():
        with suppress(ValueError, OverflowError):  # YAML reads 3e-4 as text, people mean a number
            return float(value)
    if hint is str and type(value) is int:
        return str(value)
    if hint in (int, bool, str) and type(value) is hint:
        return value
    expected = getattr(hint, "__name__", str(hint)).replace("str", "text")
    raise UserError(
        f"{key}={value!r} ({type(value).__name__})", f"a value of type {expected}", _remedy(hint, value, key)
    )


def _convert_all(hint: Any, values: dict[str, Any], mistakes: Mistakes) -> dict[str, Any]:
    """Values by their whole names; nothing in place of those that are wrong."""
    converted = dict.fromkeys(values)
    for key, value in values.items():
        with mistakes.noted(key):
            converted[key] = _convert(hint, value, key, mistakes)
    return converted


def _remedy(hint: Any, value: Any, key: str) -> str:
    if hint is str and isinstance(value, (int, float)):
        return f"write '{value}' in quotes"
    if hint is int and isinstance(value, float) and value.is_integer():
        return f"write {key}={value:.0f}"
    return f"set {key} again"


def _checked(value: Any, metadata: Any, key: str) -> Any:
    if value is None:
        return value
    allowed, low, high = (metadata.get(name) for name in ("allowed", "minimum", "maximum"))
    if allowed is not None and value not in allowed:
        hint = f"did you mean {key}={nearest(value, list(allowed))}?" if isinstance(value, str) else f"set {key} again"
        raise UserError(f"{key}={value}", ", ".join(map(str, allowed)), hint)
    check_bounds(value, low, high, key, is_literal=bool(metadata.get("is_literal")))
    return value
