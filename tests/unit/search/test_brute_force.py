"""Law 13: the search stays within its bound of brute force on every space that is small enough to enumerate."""

from hypothesis import given
from search_tables import tables

from pipeline.search.brute_force import brute_force
from pipeline.search.cover import Cost, w_coefficient
from pipeline.search.fptas import search
from pipeline.search.guarantee import largest_rise


def both(table, **settings):
    costs, errors, eps = table

    def error(architecture, assignment):
        return errors[assignment][architecture]

    found = search(
        range(len(costs)), costs.__getitem__, error, hyper_parameters=range(len(errors)), eps=eps, **settings
    )
    return found, brute_force(found, error)


@given(tables())
def test_the_optimum_is_the_best_of_all(table):
    """Of all candidates under all assignments, computed here from the table alone."""
    costs, errors, _ = table
    found, distance = both(table)
    best = max(w_coefficient(cost, found.maximum, row[index]) for row in errors for index, cost in enumerate(costs))
    assert distance.optimum.w == best


@given(tables())
def test_the_answer_is_within_the_published_bound(table):
    """Whatever the errors: at ε = 1 it is the optimum, from ε = 2 on the bound excludes nothing."""
    found, distance = both(table)
    assert 0 <= distance.relative <= min(1, found.guarantee.published_bound)
    if found.eps == 1:
        assert distance.places == 0 and distance.optimum.w == found.best.w


@given(tables(falling=True))
def test_where_errors_fall_along_the_order_no_candidate_is_above_the_upper_bound(table):
    """The bound that says something: exact, nothing tolerated, under several assignments."""
    _, errors, _ = table
    found, distance = both(table, least_error=min(min(row) for row in errors))
    assert distance.within_bound is True
    assert distance.optimum.w <= found.guarantee.upper_bound
    assert distance.relative <= found.guarantee.at_most_lost


@given(tables())
def test_errors_that_rise_no_more_than_those_that_were_tried_keep_the_bound(table):
    """Whatever they are: what breaks it, beyond rounding, is an untried error that rises by a larger factor."""
    _, errors, _ = table
    least = min(min(row) for row in errors)
    found, distance = both(table, least_error=min(least, 100.0))
    order = [one.architecture for one in found.candidates]
    all_errors = [min(row[index] for row in errors) for index in order]
    assert distance.within_bound is True or largest_rise(all_errors) > found.guarantee.rise


def test_an_order_that_deceives_breaks_the_bound_and_is_seen_by_brute_force():
    """Tried ones fall, one between them does not: the assumption is checked in part, and it does not hold."""
    table = ([Cost(size=1 + index, inference=1 + index) for index in range(5)], [[4.0, 0.1, 3.0, 3.0, 2.0]], 2)
    found, distance = both(table)
    assert found.guarantee.upper_bound is not None
    assert distance.within_bound is False
    assert distance.optimum.candidate.architecture == 1 and distance.places == 1
