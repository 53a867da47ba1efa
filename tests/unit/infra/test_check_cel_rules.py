"""`infra/check/cel_rules.py`: rules apply wherever the schema has them, and one that cannot be evaluated says so."""

import importlib.util

import pytest

from infra.check.cel_rules import Rule, as_in_cel, escaped, rules_of, verdicts

HAS_CEL = importlib.util.find_spec("cel_expr_python") is not None
needs_cel = pytest.mark.skipif(not HAS_CEL, reason="cel-expr-python is in .venv-infra, not here")

STRATEGY = {
    "type": "object",
    "properties": {"a": {"type": "string"}, "b": {"type": "string"}},
    "x-kubernetes-validations": [{"rule": "has(self.a) || has(self.b)", "message": "one is needed"}],
}
MANAGER = {"type": "string", "x-kubernetes-validations": [{"rule": "self in ['x']"}, {"rule": "self == oldSelf"}]}
SCHEMA = {
    "type": "object",
    "properties": {
        "manager": MANAGER,
        "list": {"type": "array", "items": STRATEGY},
        "map": {"type": "object", "additionalProperties": STRATEGY},
    },
}


def test_rules_are_found_at_every_place_and_nowhere_else():
    """In lists and in maps; a field that is not given has none."""
    value = {"list": [{"a": "1"}, {}], "map": {"x": {}}}
    assert [(one.path, one.message) for one in rules_of(SCHEMA, value)] == [
        ("list[0]", "one is needed"),
        ("list[1]", "one is needed"),
        ("map.x", "one is needed"),
    ]
    assert [one.text for one in rules_of(SCHEMA, {"manager": "x"})] == ["self in ['x']", "self == oldSelf"]
    assert list(rules_of(SCHEMA, {})) == []


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a", "a"),
        ("namespace", "__namespace__"),
        ("a-b", "a__dash__b"),
        ("a.b/c", "a__dot__b__slash__c"),
        ("x__y", "x__underscores__y"),
    ],
)
def test_fields_have_the_names_that_kubernetes_gives_them(name, expected):
    """Else a rule about one would find nothing, and `has` would say that it is not there."""
    assert escaped(name) == expected
    assert as_in_cel({"properties": {name: {}}}, {name: 1}) == {expected: 1}


def test_keys_of_maps_keep_their_names():
    """They are data, not fields."""
    assert as_in_cel({"additionalProperties": {}}, {"a-b": [{"c-d": 1}]}) == {"a-b": [{"c-d": 1}]}


def test_a_rule_about_the_object_before_is_not_passed():
    """A file has no object before: the verdict is open, and says why."""
    (verdict,) = verdicts([Rule(path="x", text="self == oldSelf", message="immutable", value="x")])
    assert verdict.holds is None and "oldSelf" in verdict.reason
    (verdict,) = verdicts([Rule(path="x", text="self==oldSelf.a", message="immutable", value="x")])
    assert verdict.holds is None


@needs_cel
@pytest.mark.parametrize(
    ("text", "value", "holds"),
    [
        ("has(self.a) || has(self.b)", {"a": "1"}, True),
        ("has(self.a) || has(self.b)", {}, False),
        ("!(has(self.a) && has(self.b))", {"a": "1", "b": "1"}, False),
        ("self in ['x', 'y']", "x", True),
        ("self in ['x', 'y']", "z", False),
        ("self.all(one, one.n > 0)", [{"n": 1}, {"n": 0}], False),
        ("self.n >= 1.5", {"n": 2}, True),
        ("size(self) <= 2", "abc", False),
        ("self.a == 'x'", {}, False),
    ],
)
def test_a_rule_holds_or_not(text, value, holds):
    """What fails while it is evaluated is refused, as the server does."""
    (verdict,) = verdicts([Rule(path="x", text=text, message="m", value=value)])
    assert verdict.holds is holds


@needs_cel
@pytest.mark.parametrize("text", ["quantity(self).isGreaterThan(quantity('1Gi'))", "self ==", "nosuch(self)"])
def test_a_rule_that_is_not_understood_is_open(text):
    """Functions that only Kubernetes has, and broken rules: neither passed nor refused."""
    (verdict,) = verdicts([Rule(path="x", text=text, message="m", value="1Gi")])
    assert verdict.holds is None and verdict.reason
