"""What monitoring sees of a process on Ray."""

import pytest
from ray.util import metrics as of_ray

from pipeline.cluster import metrics
from pipeline.console import gauges


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    """No gauge and no collector of other tests; nothing is sent but by the test."""
    monkeypatch.setattr(gauges, "_collectors", [])
    monkeypatch.setattr(metrics, "_latest", {})
    monkeypatch.setattr(metrics.threading.Thread, "start", lambda _: None)
    metrics._of_ray.cache_clear()
    yield
    metrics._of_ray.cache_clear()


def test_a_gauge_of_ray_is_made_once_and_set(monkeypatch):
    """With its meaning and labels; a second of the same name would be refused."""
    made, told = [], []

    class Fake:
        def __init__(self, name, description, tag_keys):
            made.append((name, description, tag_keys))

        def set(self, value, tags):
            told.append((value, tags))

    monkeypatch.setattr(of_ray, "Gauge", Fake)
    metrics.expose()
    for loss in (2.0, 1.0):
        gauges.show(gauges.LOSS, loss, learner="a")
    assert made == [("dq_loss", gauges.LOSS.meaning, ("learner",))]
    assert told == [(2.0, {"learner": "a"}), (1.0, {"learner": "a"})]
    metrics.send_again()  # Ray forgets what it is not told again
    assert told[2:] == [(1.0, {"learner": "a"})]


def test_a_monitoring_that_fails_stops_nobody(monkeypatch):
    """Training goes on."""

    def fails(*_, **__):
        raise RuntimeError("no Ray")

    monkeypatch.setattr(of_ray, "Gauge", fails)
    metrics.expose()
    gauges.show(gauges.STORAGE_FREE, 1.0)
