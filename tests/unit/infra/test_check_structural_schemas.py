"""`infra/check/structural_schemas.py`: what the server would drop, complete or refuse in a custom resource."""

import jsonschema
import pytest

from infra.check.structural_schemas import repeated, strict, with_defaults

CRD = {
    "type": "object",
    "required": ["spec"],
    "properties": {
        "spec": {
            "type": "object",
            "required": ["size", "mode"],
            "properties": {
                "size": {"type": "integer", "format": "int32", "minimum": 1},
                "mode": {"type": "string", "enum": ["a", "b"], "default": "a"},
                "port": {"anyOf": [{"type": "integer"}, {"type": "string"}], "x-kubernetes-int-or-string": True},
                "labels": {"type": "object", "additionalProperties": {"type": "string"}},
                "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                "nothing": {"type": "object"},
                "maybe": {"type": "string", "nullable": True},
                "inner": {
                    "type": "object",
                    "x-kubernetes-embedded-resource": True,
                    "properties": {"spec": {"type": "object"}},
                },
                "choice": {
                    "type": "object",
                    "properties": {"x": {"type": "string"}, "y": {"type": "string"}},
                    "oneOf": [{"required": ["x"]}, {"required": ["y"]}],
                },
                "items": {"type": "array", "items": {"type": "object", "properties": {"n": {"type": "integer"}}}},
            },
        }
    },
}
OBJECT = {"apiVersion": "x/v1", "kind": "X", "metadata": {"name": "x"}}


def mistakes(**spec):
    validator = jsonschema.Draft202012Validator(strict(CRD, is_root=True))
    document = with_defaults(CRD, {**OBJECT, "spec": {"size": 1, **spec}})
    return [".".join(map(str, error.absolute_path)) for error in validator.iter_errors(document)]


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"mode": "b"},
        {"port": 1},
        {"port": "http"},
        {"labels": {"any": "text"}},
        {"free": {"any": {"thing": [1]}}},
        {"nothing": {}},
        {"maybe": None},
        {"inner": {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": {}}},
        {"choice": {"x": "1"}},
        {"items": [{"n": 1}, {}]},
    ],
)
def test_what_the_server_takes_is_taken(spec):
    """A field with a default may be left out although it is required."""
    assert mistakes(**spec) == []


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({"sise": 1}, "spec"),
        ({"mode": "c"}, "spec.mode"),
        ({"mode": None}, "spec.mode"),
        ({"size": 0}, "spec.size"),
        ({"size": 2**31}, "spec.size"),
        ({"size": "1"}, "spec.size"),
        ({"port": 1.5}, "spec.port"),
        ({"labels": {"a": 1}}, "spec.labels.a"),
        ({"nothing": {"a": 1}}, "spec.nothing"),
        ({"inner": {"spec": {}}}, "spec.inner"),
        ({"inner": {"apiVersion": "v1", "kind": "Pod", "other": 1}}, "spec.inner"),
        ({"choice": {"x": "1", "y": "1"}}, "spec.choice"),
        ({"choice": {}}, "spec.choice"),
        ({"items": [{}, {"m": 1}]}, "spec.items.1"),
    ],
)
def test_what_it_would_drop_or_refuse_is_found_where_it_is(spec, path):
    """A field that is not named is dropped without a word: a misspelt one does nothing."""
    assert path in mistakes(**spec)


def test_an_object_without_kind_or_with_a_field_beside_spec_is_refused():
    """Metadata and the two names of its kind are known of every object."""
    validator = jsonschema.Draft202012Validator(strict(CRD, is_root=True))
    assert not validator.is_valid({**OBJECT, "spec": {"size": 1, "mode": "a"}, "spek": {}})
    assert not validator.is_valid({"metadata": {}, "spec": {"size": 1, "mode": "a"}})
    assert validator.is_valid({**OBJECT, "spec": {"size": 1, "mode": "a"}})


def test_defaults_come_in_where_something_is_missing():
    """Deep inside, too; what was given stays."""
    port = {"type": "object", "properties": {"protocol": {"type": "string", "default": "TCP"}}}
    schema = {"type": "object", "properties": {"ports": {"type": "array", "items": port}}}
    assert with_defaults(schema, {"ports": [{}, {"protocol": "UDP"}]}) == {
        "ports": [{"protocol": "TCP"}, {"protocol": "UDP"}]
    }
    assert with_defaults(schema, {}) == {}


def test_entries_that_a_list_may_have_once_are_found():
    """Of a set, and of a list that is a map by some keys, with their defaults."""
    port = {"type": "object", "properties": {"protocol": {"type": "string", "default": "TCP"}}}
    ports = {"type": "array", "items": port, "x-kubernetes-list-type": "map"}
    ports["x-kubernetes-list-map-keys"] = ["port", "protocol"]
    names = {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"}
    schema = {"type": "object", "properties": {"ports": ports, "names": names, "free": {"type": "array"}}}
    good = {"ports": [{"port": 1}, {"port": 1, "protocol": "UDP"}], "names": ["a", "b"], "free": [1, 1]}
    assert list(repeated(schema, good)) == []
    bad = {"ports": [{"port": 1}, {"port": 1, "protocol": "TCP"}], "names": ["a", "b", "a"]}
    assert [path for path, _ in repeated(schema, bad)] == ["ports[1]", "names[2]"]
