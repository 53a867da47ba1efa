"""The front of a search is of points with an error, on costs that all of them have."""

import math
from types import SimpleNamespace

import pytest

from pipeline.stages.search import results
from pipeline.stages.search.latencies import Latencies, Latency
from pipeline.stages.search.results import front_names

SIZES = {"a": 1.0, "b": 2.0, "c": 3.0, "d": 4.0}


def latency(milliseconds):
    return Latency(milliseconds=milliseconds, low=milliseconds, high=milliseconds, is_measured=True)


@pytest.fixture
def front_of(monkeypatch):
    """`front_of(errors, milliseconds)`: the names on the front of points of rising size."""

    def call(errors, milliseconds):
        monkeypatch.setattr(results, "error_of", lambda plan, name, step: errors.get(name))
        latencies = Latencies(of={name: latency(one) for name, one in milliseconds.items()})

        def values(name):
            return {"size_bytes": SIZES[name], "latency_ms": milliseconds.get(name)}

        candidates = [SimpleNamespace(architecture=SimpleNamespace(name=name)) for name in SIZES]
        return front_names(SimpleNamespace(candidates=candidates, latencies=latencies, values=values), 3)

    return call


def test_one_that_diverged_or_was_not_tried_is_not_on_the_front(front_of):
    """Though it is the smallest of all."""
    assert front_of({"a": math.inf, "c": 2.0, "d": 1.0}, {}) == ["c", "d"]


def test_milliseconds_count_where_all_have_them(front_of):
    """A slower one is beaten by a faster one; an unknown time is no time of 0."""
    errors = {"a": 2.0, "b": 2.0, "c": 2.0}
    assert front_of(errors, {}) == ["a"]
    assert front_of(errors, {"a": 5.0, "b": 4.0, "c": 6.0}) == ["a", "b"]
    assert front_of(errors, {"a": 5.0, "b": 4.0}) == ["a"]
