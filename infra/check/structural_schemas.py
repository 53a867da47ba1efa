"""Structural schemas of custom resources as strict JSON schemas, and what else the server does with them.

https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/ says what they mean.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from infra.check.rendered import joined, mapping, sequence

Schema = dict[str, Any]
_JUNCTIONS = ("allOf", "anyOf", "oneOf")
_EMBEDDED = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": {"type": "object"}}
# Keywords that mean in JSON schema what they mean here.
_KEPT = (
    *("enum", "format", "maxItems", "maxLength", "maxProperties", "maximum", "minItems", "minLength"),
    *("minProperties", "minimum", "multipleOf", "pattern", "uniqueItems", "exclusiveMaximum", "exclusiveMinimum"),
)
_RANGES = {"int32": (-(2**31), 2**31 - 1), "int64": (-(2**63), 2**63 - 1)}


def strict(schema: Schema, *, is_root: bool = False) -> Schema:
    """A JSON schema (draft 2020-12) that takes what the server takes, and no field that it would drop.

    It is for values with their defaults.

    Args:
        schema: structural; `x-kubernetes-*` are read.
        is_root: of a whole object: it has apiVersion, kind and metadata, which is judged elsewhere.
    """
    made = _values(schema)
    is_embedded = bool(schema.get("x-kubernetes-embedded-resource")) or is_root
    properties = {name: strict(mapping(one)) for name, one in mapping(schema.get("properties")).items()}
    if is_embedded:
        properties |= _EMBEDDED
    if properties:
        made["properties"] = properties
    required = [str(name) for name in sequence(schema.get("required"))]
    required += ["apiVersion", "kind", "metadata"] if is_root else ["apiVersion", "kind"] if is_embedded else []
    if required:
        made["required"] = sorted(set(required))
    if "items" in schema:
        made["items"] = strict(mapping(schema["items"]))
    if isinstance(schema.get("additionalProperties"), dict):
        made["additionalProperties"] = strict(schema["additionalProperties"])
    elif _is_closed(schema):
        made["additionalProperties"] = False
    return _nullable(made) if schema.get("nullable") else made


def _is_closed(schema: Schema) -> bool:
    """Whether the server drops fields that are not named: also where none is."""
    is_open = schema.get("x-kubernetes-preserve-unknown-fields") or schema.get("additionalProperties") is True
    return schema.get("type") == "object" and not is_open


def _values(schema: Schema) -> Schema:
    """What is said of values, which is all that `allOf` and its like may say."""
    made: Schema = {key: schema[key] for key in _KEPT if key in schema}
    if schema.get("x-kubernetes-int-or-string"):
        made["type"] = ["integer", "string"]
    elif "type" in schema:
        made["type"] = schema["type"]
    for name in ("Maximum", "Minimum"):  # OpenAPI 3.0 has a truth value where JSON schema has the number
        if isinstance(made.get(f"exclusive{name}"), bool):
            bound = made.pop(name.lower(), None)
            key = f"exclusive{name}" if made.pop(f"exclusive{name}") else name.lower()
            made |= {} if bound is None else {key: bound}
    low, high = _RANGES.get(str(schema.get("format")), (None, None))
    if low is not None:
        made = {"minimum": low, "maximum": high} | made
    for junction in _JUNCTIONS:
        if junction in schema:
            made[junction] = [_part(mapping(one)) for one in schema[junction]]
    if "not" in schema:
        made["not"] = _part(mapping(schema["not"]))
    return made


def _part(schema: Schema) -> Schema:
    made = _values(schema)
    for name in ("required", "minProperties"):
        made |= {name: schema[name]} if name in schema else {}
    if "properties" in schema:
        made["properties"] = {name: _part(mapping(one)) for name, one in schema["properties"].items()}
    if "items" in schema:
        made["items"] = _part(mapping(schema["items"]))
    if isinstance(schema.get("additionalProperties"), dict):
        made["additionalProperties"] = _part(schema["additionalProperties"])
    return made


def _nullable(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def _property(schema: Schema, name: str) -> Schema:
    return mapping(mapping(schema.get("properties")).get(name))


def with_defaults(schema: Schema, value: Any) -> Any:
    """A value as the server completes it before it judges."""
    if isinstance(value, dict):
        made = dict(value)
        for name, inner in mapping(schema.get("properties")).items():
            if name not in made and "default" in mapping(inner):
                made[name] = inner["default"]
        return {name: with_defaults(_inner(schema, name), one) for name, one in made.items()}
    if isinstance(value, list):
        return [with_defaults(mapping(schema.get("items")), one) for one in value]
    return value


def repeated(schema: Schema, value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """(path, what is wrong) of entries that a list may have once: of sets, and of lists that are maps by some keys."""
    if isinstance(value, dict):
        for name, one in value.items():
            yield from repeated(_inner(schema, name), one, joined(path, name))
    if not isinstance(value, list):
        return
    inner = mapping(schema.get("items"))
    keys = [str(key) for key in sequence(schema.get("x-kubernetes-list-map-keys"))]
    kind, seen = schema.get("x-kubernetes-list-type"), []
    for index, one in enumerate(value):
        yield from repeated(inner, one, joined(path, index))
        if kind == "map" and isinstance(one, dict):
            one = {key: one.get(key, _property(inner, key).get("default")) for key in keys}
        elif kind != "set":
            continue
        if one in seen:
            yield joined(path, index), f"{one} is there already, and only one can be"
        seen.append(one)


def _inner(schema: Schema, name: str) -> Schema:
    return _property(schema, name) or mapping(schema.get("additionalProperties"))


def inner_schema(schema: Schema, name: str) -> Schema:
    """The schema of a field, or of any field of a map."""
    return _inner(schema, name)
