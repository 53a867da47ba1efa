"""What is seen of a trial is what anybody has seen of it, whatever steps they asked for."""

import math

import pytest

from pipeline.stages.search.seen import Failure, add_error, add_failure, mean_error, read_seen


def test_of_a_trial_that_nobody_has_made_nothing_is_known(tmp_path):
    """Neither an error nor a failure."""
    assert read_seen(tmp_path).after(3) is None and read_seen(tmp_path).failure is None


def test_errors_add_up_and_infinite_ones_are_read_again(tmp_path):
    """A later step leaves those before it."""
    add_error(tmp_path, 3, 2.5)
    add_error(tmp_path, 10, math.inf)
    assert read_seen(tmp_path).errors == {3: 2.5, 10: math.inf}


def test_a_failure_says_nothing_of_the_steps_before_it(tmp_path):
    """From its step on the error is infinite; before it is what was seen, or unknown."""
    add_error(tmp_path, 3, 2.5)
    add_failure(tmp_path, 20, "diverged")
    assert [read_seen(tmp_path).after(step) for step in (3, 10, 19)] == [2.5, None, None]
    assert [read_seen(tmp_path).after(step) for step in (20, 30)] == [math.inf, math.inf]
    add_error(tmp_path, 10, 2.0)  # somebody looks after all
    add_failure(tmp_path, 31, "told of it again after a restart")
    assert read_seen(tmp_path).errors == {3: 2.5, 10: 2.0}
    assert read_seen(tmp_path).failure == Failure(step=20, reason="diverged")


def test_a_mean_over_seeds_is_infinite_where_one_diverged():
    """Else it is their mean."""
    assert mean_error([1.0, math.inf]) == math.inf
    assert mean_error([1.0, 2.0]) == pytest.approx(1.5, abs=0, rel=0)
