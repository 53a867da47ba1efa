"""`infra/check/selectors.py`: labels are taken as Kubernetes takes them."""

import pytest

from infra.check.selectors import is_empty, matches

LABELS = {"app": "web", "tier": "front"}


def where(operator, key, *values):
    return {"matchExpressions": [{"key": key, "operator": operator, "values": list(values)}]}


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ({}, True),
        (None, True),
        ({"matchLabels": {"app": "web"}}, True),
        ({"matchLabels": {"app": "web", "tier": "back"}}, False),
        ({"matchLabels": {"other": "x"}}, False),
        (where("In", "app", "web", "db"), True),
        (where("In", "app", "db"), False),
        (where("NotIn", "app", "db"), True),
        (where("NotIn", "app", "web"), False),
        (where("Exists", "app"), True),
        (where("Exists", "other"), False),
        (where("DoesNotExist", "other"), True),
        (where("DoesNotExist", "app"), False),
        (where("Near", "app"), False),
        ({"matchLabels": {"app": "web"}, **where("Exists", "other")}, False),
    ],
)
def test_a_selector_takes_what_it_takes_in_a_cluster(selector, expected):
    """All of its parts must fit; an operator that is none fits nothing."""
    assert matches(selector, LABELS) is expected


def test_a_label_without_a_known_value_is_there_but_equals_nothing():
    """`ray.io/cluster` of a job's cluster."""
    assert matches(where("Exists", "made-later"), LABELS, {"made-later"})
    assert not matches(where("DoesNotExist", "made-later"), LABELS, {"made-later"})
    assert not matches({"matchLabels": {"made-later": "x"}}, LABELS, {"made-later"})


def test_an_empty_selector_takes_everything_and_is_known_as_such():
    """A policy with one is for all pods."""
    assert is_empty({}) and is_empty(None) and is_empty({"matchLabels": {}})
    assert not is_empty({"matchLabels": {"a": "b"}}) and not is_empty(where("Exists", "a"))
