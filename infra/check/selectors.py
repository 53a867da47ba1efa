"""Label selectors, as Kubernetes matches them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from infra.check.rendered import mapping, sequence


def matches(selector: Any, labels: Mapping[str, str], unknown: Collection[str] = ()) -> bool:
    """Whether a selector (matchLabels, matchExpressions) takes labels; an empty one takes all.

    Args:
        selector: as in a NetworkPolicy; of a Service only the labels: `{"matchLabels": ...}`.
        labels: of a pod.
        unknown: further labels that it has, whose values nobody knows before it starts.
    """
    for key, value in mapping(mapping(selector).get("matchLabels")).items():
        if labels.get(key) != str(value):
            return False
    return all(_fits(mapping(one), labels, unknown) for one in sequence(mapping(selector).get("matchExpressions")))


def _fits(expression: dict[str, Any], labels: Mapping[str, str], unknown: Collection[str]) -> bool:
    key, operator = str(expression.get("key")), expression.get("operator")
    values = [str(value) for value in sequence(expression.get("values"))]
    is_there = key in labels or key in unknown
    if operator == "In":
        return labels.get(key) in values
    if operator == "NotIn":
        return labels.get(key) not in values
    if operator == "Exists":
        return is_there
    return operator == "DoesNotExist" and not is_there


def is_empty(selector: Any) -> bool:
    """Whether it takes everything."""
    return not mapping(selector).get("matchLabels") and not mapping(selector).get("matchExpressions")
