"""Counts of groups by state, as monitoring sees them."""

from pipeline.cluster import group_states
from pipeline.cluster.group_states import DONE, FAILED, TRAINING, WAITING, is_now
from pipeline.console import gauges


def test_every_group_is_counted_in_one_state(monkeypatch):
    """The newest; what is not new is not told again."""
    told = {}
    monkeypatch.setattr(group_states, "_states", {})
    monkeypatch.setattr(gauges, "_collectors", [lambda _, value, labels: told.update({labels["state"]: value})])
    for group, state in (("a", WAITING), ("b", WAITING), ("a", TRAINING), ("a", DONE), ("b", TRAINING), ("b", FAILED)):
        is_now(group, state)
        assert sum(told.values()) == (1 if group == "a" and state == WAITING else 2)
    assert told == {WAITING: 0, TRAINING: 0, DONE: 1, FAILED: 1}
    told.clear()
    is_now("b", FAILED)
    assert told == {}
