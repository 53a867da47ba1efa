"""The loop."""

import math

import pytest
from hypothesis import given
from search_tables import tables

from pipeline.config.errors import UserError
from pipeline.search.cover import Cost
from pipeline.search.fptas import search
from pipeline.search.sizes import EncoderEnds, encoder_operations, encoder_parameters
from pipeline.search.space import BERT_LARGE, BERT_SPACE, BORT

ENDS = EncoderEnds(vocabulary=50265, token_types=0, pooler=False)
COSTS = [Cost(size=1 + index, inference=5 - index) for index in range(5)]


def bert_cost(architecture):
    size, inference = encoder_parameters(architecture, ENDS), encoder_operations(architecture, ENDS, 128).total
    return Cost(size=size.total, inference=inference.total, end_size=size.ends, end_inference=inference.ends)


@given(tables())
def test_every_candidate_of_the_cover_is_tried_once_per_assignment(table):
    """Assignments outside, candidates inside, cheapest first; the best is the first with the highest W."""
    costs, errors, eps = table
    asked = []

    def error(architecture, assignment):
        asked.append((assignment, architecture))
        return errors[assignment][architecture]

    found = search(range(len(costs)), costs.__getitem__, error, hyper_parameters=[0, 1], eps=eps)
    order = sorted(range(len(costs)), key=lambda index: (costs[index].size, costs[index].inference))
    assert asked == [(assignment, index) for assignment in (0, 1) for index in order[::eps]]
    first = next(trial for trial in found.trials if trial.w == max(one.w for one in found.trials))
    assert found.best is first
    assert found.best.error == errors[first.hyper_parameters][first.candidate.architecture]


def test_what_is_wrong_is_known_before_anything_is_trained():
    """An interval, a maximum point, no hyper-parameters, an empty space."""

    def error(architecture, assignment):
        pytest.fail("it trains")

    small = Cost(size=2, inference=9)
    for change in ({"eps": 0}, {"eps": 6}, {"maximum": small}, {"hyper_parameters": []}, {"architectures": []}):
        given = {"architectures": range(5), "hyper_parameters": [0], "eps": 1, **change}
        with pytest.raises(UserError):
            search(given.pop("architectures"), COSTS.__getitem__, error, **given)


def test_training_that_diverged_is_never_the_best_while_anything_else_is():
    """Its error is infinite, its W is 0."""
    found = search(
        range(5), COSTS.__getitem__, lambda one, _: 1.0 if one == 2 else math.inf, hyper_parameters=[0], eps=1
    )
    assert found.best.candidate.architecture == 2
    assert [trial.w for trial in found.trials if trial.error == math.inf] == [0.0] * 4


@pytest.mark.parametrize("eps", [1, 2, 5, 10, 30, 300])
def test_where_errors_say_nothing_the_published_space_returns_its_cheapest_point(eps):
    """Errors of three steps hardly differ: W alone falls along the order, and the cheapest is in every cover."""
    found = search(
        BERT_SPACE.points(), bert_cost, lambda *_: 10.0, hyper_parameters=[None], eps=eps, maximum=bert_cost(BERT_LARGE)
    )
    best = found.best.candidate.architecture
    assert (best.layers, best.heads, best.hidden, best.intermediate) == (2, 4, 512, 256) != BORT
