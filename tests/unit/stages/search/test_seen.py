"""What is seen of trials lies in their folders, and nowhere else."""

import math

import pytest

from pipeline.config.errors import UserError
from pipeline.stages.search.seen import (
    FILE,
    Failure,
    Seen,
    add_error,
    add_failure,
    errors_of,
    is_open,
    mean_error,
    read_seen,
)
from pipeline.stages.search.space import TrialPlan


def trial(folder, point="a", seed=0, rate=0.1):
    key = f"{point}-{seed}-{rate}"
    return TrialPlan(point=point, name=key, key=key, seed=seed, learning_rate=rate, folder=folder / key)


def test_errors_of_several_steps_stay_beside_each_other(tmp_path):
    """One that is seen again is replaced."""
    for step, error in ((3, 5.0), (10, 4.0), (3, 5.5)):
        add_error(tmp_path, step, error)
    assert read_seen(tmp_path) == Seen(errors={3: 5.5, 10: 4.0})
    assert read_seen(tmp_path / "other") == Seen()


def test_a_trial_that_diverged_has_an_infinite_error_from_then_on(tmp_path):
    """What was seen before stays; nobody trains it again."""
    one = trial(tmp_path)
    add_error(one.folder, 3, 5.0)
    add_failure(one.folder, 7, "non-finite task_loss")
    seen = read_seen(one.folder)
    assert (seen.after(3), seen.after(10)) == (5.0, math.inf) and not is_open(one, 10)


def test_a_failure_says_nothing_of_the_steps_before_it(tmp_path):
    """There an error is what was seen, or unknown; whoever looks later leaves the failure as it is."""
    add_error(tmp_path, 3, 2.5)
    add_failure(tmp_path, 20, "diverged")
    assert [read_seen(tmp_path).after(step) for step in (3, 10, 19)] == [2.5, None, None]
    assert [read_seen(tmp_path).after(step) for step in (20, 30)] == [math.inf, math.inf]
    add_error(tmp_path, 10, 2.0)
    add_failure(tmp_path, 31, "told of it again after a restart")
    assert read_seen(tmp_path) == Seen(errors={3: 2.5, 10: 2.0}, failure=Failure(step=20, reason="diverged"))


def test_an_error_is_the_mean_over_all_seeds_or_unknown(tmp_path):
    """One seed that is missing leaves it open; one that diverged makes it infinite."""
    trials = [trial(tmp_path, point, seed) for point in "ab" for seed in (0, 1)]
    for one, error in zip(trials[:3], (2.0, 4.0, 3.0), strict=True):
        add_error(one.folder, 3, error)
    assert errors_of(trials, 3) == {"a": {0.1: [2.0, 4.0]}}
    add_failure(trials[3].folder, 1, "non-finite")
    assert errors_of(trials, 3)["b"] == {0.1: [3.0, math.inf]}
    assert (mean_error([2.0, 4.0]), mean_error([3.0, math.inf])) == (3.0, math.inf)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"errors": {}}', '{"errors": {"a": 1.0}, "failure": null}'])
def test_a_damaged_file_is_named_with_what_to_do(tmp_path, text):
    """It is neither nothing seen nor a crash: the file is one that a person may remove."""
    (tmp_path / FILE).write_text(text)
    with pytest.raises(UserError) as raised:
        read_seen(tmp_path)
    assert str(tmp_path / FILE) in raised.value.given and "remove the file" in raised.value.change
