"""Whose seconds a step is."""

import time

import pytest
import torch

from pipeline.training.stopwatch import Stopwatch, untimed


def test_seconds_add_up_by_name():
    """What lies between two names counts for nobody."""
    stopwatch = Stopwatch(torch.device("cpu"))
    start = time.monotonic()
    for name in ("one", "other", "one"):
        with stopwatch.of(name):
            time.sleep(0.02)
        time.sleep(0.05)
    elapsed = time.monotonic() - start
    assert set(stopwatch.seconds) == {"one", "other"}
    assert stopwatch.seconds["one"] >= 0.04 and stopwatch.seconds["other"] >= 0.02
    assert sum(stopwatch.seconds.values()) <= elapsed - 0.15


def test_an_error_goes_on_and_counts_nothing():
    """Who failed is out of the cohort."""
    stopwatch = Stopwatch(torch.device("cpu"))
    with pytest.raises(RuntimeError), stopwatch.of("one"):
        raise RuntimeError
    with untimed("one"):
        pass
    assert stopwatch.seconds == {}
