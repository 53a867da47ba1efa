"""The machine that measures, and the code that it runs."""

import pytest

from pipeline.benchmarking import conditions
from pipeline.benchmarking.conditions import allowed_load, check_threads, export_sources, machine_name
from pipeline.config.errors import UserError


def test_more_threads_than_cores_are_refused(monkeypatch):
    """As many are not."""
    monkeypatch.setattr(conditions.psutil, "cpu_count", lambda: 2)
    check_threads([1, 2], "benchmark.any.threads")
    with pytest.raises(UserError, match=r"3 threads\. Allowed: at most 2 here\. Change: set benchmark.any.threads"):
        check_threads([1, 3], "benchmark.any.threads")
    assert machine_name().endswith(", 2 cores")


@pytest.mark.parametrize(("threads", "allowed"), [(1, 1.15), (2, 0.15), (3, 0.15)])
def test_others_may_use_the_cores_that_a_worker_leaves_free(monkeypatch, threads, allowed):
    """And a little more."""
    monkeypatch.setattr(conditions.psutil, "cpu_count", lambda: 2)
    assert allowed_load(threads, 0.15) == pytest.approx(allowed)


def test_the_code_that_exports_and_runs_is_part_of_the_conditions():
    """Else old files would be taken for new ones."""
    assert any("def export_package" in code for code in export_sources())
    assert any("class OnnxAnswerer" in code for code in export_sources())
