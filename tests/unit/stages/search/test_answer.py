"""The answer from what was seen: by W, or within limits by the error."""

import math

import pytest

from pipeline.config.errors import UserError
from pipeline.config.sections.search import SearchConfig
from pipeline.search.cover import Cost, maximum_point, ordered, w_coefficient
from pipeline.stages.search.answer import answer_of, error_curve, error_spread
from pipeline.stages.search.seen import add_error, add_failure
from pipeline.stages.search.space import Point, TrialPlan

COSTS = {"small": (1, 1), "middle": (2, 2), "large": (4, 4)}
ERRORS = {"small": [9.0, 11.0], "middle": [5.0, 5.0], "large": [1.0, 1.0]}


@pytest.fixture
def made(tmp_path):
    """(candidates, T, trials): three points under one learning rate and two seeds, with errors after three steps."""
    points = [Point(name=name) for name in COSTS]
    candidates = ordered(points, lambda point: Cost(size=COSTS[point.name][0], inference=COSTS[point.name][1]))
    trials = []
    for name, errors in ERRORS.items():
        for seed, error in enumerate(errors):
            folder = tmp_path / f"{name}-{seed}"
            add_error(folder, 3, error)
            key = f"{name}-{seed}"
            trials.append(TrialPlan(point=name, name=key, key=key, seed=seed, learning_rate=0.1, folder=folder))
    return candidates, maximum_point(candidates), trials


def test_without_limits_w_decides_and_within_them_the_error(made):
    """T itself saves nothing: its W is 0 however small its error."""
    candidates, maximum, trials = made
    found = answer_of(SearchConfig(), candidates, maximum, trials, tried=list(COSTS), tries_all=True)
    ws = {
        name: w_coefficient(Cost(size=c, inference=i), maximum, sum(ERRORS[name]) / 2) for name, (c, i) in COSTS.items()
    }
    assert found.ranking == tuple(sorted(ws, key=lambda name: -ws[name])) and found.optimum.w_lost == 0
    found = answer_of(SearchConfig(max_mib=1.0), candidates, maximum, trials, tried=list(COSTS), tries_all=False)
    assert (found.ranking, found.optimum) == (("large", "middle", "small"), None)


def test_the_optimum_says_what_the_answer_lacks(made):
    """Of W or of the error, whatever decides, and how many places lie between."""
    candidates, maximum, trials = made
    limited = SearchConfig(max_mib=1.0)
    found = answer_of(limited, candidates, maximum, trials, tried=["small", "middle"], tries_all=True)
    assert (found.best, found.optimum.name, found.optimum.places) == ("middle", "large", 1)
    assert found.optimum.error_lost == 4.0 and found.optimum.within_bound is None


def test_what_was_given_up_is_no_answer(made):
    """Its error is of fewer steps than the others'."""
    candidates, maximum, trials = made
    found = answer_of(SearchConfig(), candidates, maximum, trials, tried=["large"], tries_all=False)
    assert found.ranking == ("large",) and len(found.result.trials) == 1


def test_what_diverged_comes_after_t_and_is_not_chosen(made):
    """Its W is 0, as that of T, which is larger: it has learned, and is the answer."""
    candidates, maximum, trials = made
    for trial in trials:
        add_error(trial.folder, 9, 1.0) if trial.point == "large" else add_failure(trial.folder, 1, "non-finite")
    search = SearchConfig(steps=[9])
    found = answer_of(search, candidates, maximum, trials, tried=list(COSTS), tries_all=True)
    assert (found.best, found.chosen(3), found.optimum.name) == ("large", ("large",), "large")


def test_a_search_of_which_everything_diverged_says_so(made):
    """A lower learning rate may help."""
    candidates, maximum, trials = made
    for trial in trials:
        add_failure(trial.folder, 1, "non-finite")
    with pytest.raises(UserError, match="all 1 candidates diverged"):
        answer_of(SearchConfig(steps=[9]), candidates, maximum, trials, tried=["small"], tries_all=False)
    assert error_curve(trials[:2], [3, 9]) == {3: 10.0, 9: math.inf}
    assert error_spread(trials[:2], 3) == pytest.approx(math.sqrt(2)) and error_spread(trials[:2], 9) is None
