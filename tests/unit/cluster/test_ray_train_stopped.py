"""Ray takes SIGTERM for itself when a driver connects; the job hears of it all the same."""

import signal
import sys

import pytest
import ray

from pipeline.cluster import ray_train
from pipeline.cluster.ray_train import connect, run_workers
from pipeline.config.sections.cluster import ClusterConfig
from pipeline.training.stop_request import Stopped, at_steps, listening


@pytest.fixture(autouse=True)
def connecting(monkeypatch):
    """A Ray that connects without a cluster: `connecting.append(call)` does something meanwhile."""
    calls, earlier = [], signal.getsignal(signal.SIGTERM)

    def init(**_):
        signal.signal(signal.SIGTERM, lambda number, _: sys.exit(number))  # as Ray does
        for call in calls:
            call()

    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray_train, "wait_for_resources", lambda _: None)
    yield calls
    signal.signal(signal.SIGTERM, earlier)


def test_a_request_while_ray_connects_stops_the_job(connecting):
    """As anywhere else where nothing is trained."""
    connecting.append(lambda: signal.raise_signal(signal.SIGTERM))
    with pytest.raises(Stopped), listening():
        connect(ClusterConfig(address="local"))


def test_another_end_of_ray_stays_what_it_is(connecting):
    """It is no request."""
    connecting.append(lambda: sys.exit(1))
    with pytest.raises(SystemExit) as end, listening():
        connect(ClusterConfig(address="local"))
    assert end.value.code == 1


def test_afterwards_the_signal_is_the_job_s(connecting):
    """And no workers are begun once it came."""
    with pytest.raises(Stopped), listening():
        connect(ClusterConfig(address="local"))
        with at_steps():
            signal.raise_signal(signal.SIGTERM)
            run_workers(pytest.fail, "begun", ClusterConfig(), name="x", storage_path=None)
