"""Numbers for monitoring: told to whoever collects them, and to nobody else."""

import re

import pytest

from pipeline.console import gauges


@pytest.fixture
def seen(monkeypatch):
    """What a collector is told."""
    monkeypatch.setattr(gauges, "_collectors", [])
    found = []
    gauges.collect(lambda gauge, value, labels: found.append((gauge.name, value, labels)))
    return found


def test_a_number_reaches_the_last_collector(seen):
    """One at a time: else each would count twice."""
    gauges.show(gauges.LOSS, 2.5, learner="a")
    later = []
    gauges.collect(lambda *told: later.append(told))
    gauges.show(gauges.STORAGE_FREE, 7)
    assert seen == [("dq_loss", 2.5, {"learner": "a"})] and len(later) == 1


def test_without_a_collector_nothing_happens(monkeypatch):
    """A job without Ray."""
    monkeypatch.setattr(gauges, "_collectors", [])
    gauges.show(gauges.STORAGE_FREE, 7)


@pytest.mark.parametrize("labels", [{}, {"learner": "a", "other": "b"}])
def test_labels_are_those_of_the_gauge(labels, seen):
    """A series with others would be another one."""
    with pytest.raises(AssertionError):
        gauges.show(gauges.LOSS, 1.0, **labels)


def test_names_are_those_of_prometheus():
    """Each once, with a sentence of what it is."""
    names = [gauge.name for gauge in gauges.ALL]
    assert len(set(names)) == len(names)
    assert {*gauges.ALL} == {value for value in vars(gauges).values() if isinstance(value, gauges.Gauge)}
    assert all(re.fullmatch(r"dq_[a-z_]+", name) for name in names)
    assert all(gauge.meaning.endswith(".") for gauge in gauges.ALL)
