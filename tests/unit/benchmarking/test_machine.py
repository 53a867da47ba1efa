"""The machine that measures."""

import pytest

from pipeline.benchmarking import machine
from pipeline.benchmarking.machine import allowed_load, check_threads, machine_name
from pipeline.config.errors import UserError


def test_more_threads_than_cores_are_refused(monkeypatch):
    """As many are not."""
    monkeypatch.setattr(machine.psutil, "cpu_count", lambda: 2)
    check_threads([1, 2], "benchmark.any.threads")
    with pytest.raises(UserError, match=r"3 threads\. Allowed: at most 2 here\. Change: set benchmark.any.threads"):
        check_threads([1, 3], "benchmark.any.threads")
    assert machine_name().endswith(", 2 cores")


@pytest.mark.parametrize(("threads", "allowed"), [(1, 1.15), (2, 0.15), (3, 0.15)])
def test_others_may_use_the_cores_that_a_worker_leaves_free(monkeypatch, threads, allowed):
    """And a little more."""
    monkeypatch.setattr(machine.psutil, "cpu_count", lambda: 2)
    assert allowed_load(threads, 0.15) == pytest.approx(allowed)
