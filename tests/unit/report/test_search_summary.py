"""The sentences of a search say what happened, and no more than the bounds allow."""

from dataclasses import replace

import pytest
from made_up_search import search_results

from pipeline.report.search_costs import pareto_front_of
from pipeline.report.search_summary import beside_optimum, bounds, guarantee_numbers, limit_texts, search_summary, times


def said(results):
    return " ".join(search_summary(results, pareto_front_of(results)))


def test_the_summary_counts_and_names():
    """Candidates, what became of them, the answer with all its numbers and units."""
    results = search_results(12, eps=2)
    best = next(point for point in results.points if point.name == results.best)
    text = said(results)
    assert (
        "12 candidates, 6 in the cover for ε = 2: 4 tried to the end, 1 given up early, 1 diverged, 6 not tried."
        in text
    )
    assert f"Answer: {best.name}, {best.costs['size_bytes']:,.0f} bytes" in text
    assert "ms (measured), validation loss after 30 steps " in text and " ± 0.020, W " in text
    assert "on the Pareto front of" in text and results.rule in text
    assert "The brute-force optimum is not known." in text
    one = search_results(1, eps=1, num_diverged=0, num_given_up=0)
    assert "1 candidate, 1 in the cover for ε = 1: 1 tried to the end." in said(one)


def test_without_bytes_and_times_what_w_counts_is_said():
    """Parameters and operations."""
    results = search_results(8, with_times=False)
    points = [replace(p, costs={k: v for k, v in p.costs.items() if k != "size_bytes"}) for p in results.points]
    text = said(replace(results, points=points))
    assert " parameters, " in text and " operations, " in text and "bytes" not in text and " ms" not in text


@pytest.mark.parametrize(
    ("eps", "words"), [(1, "is 0: the cover is all candidates"), (2, "excludes nothing"), (4, "excludes nothing")]
)
def test_the_published_bound_is_not_made_more_of_than_it_says(eps, words):
    """From ε = 2 on it excludes nothing, as W is never negative."""
    text = bounds(search_results(12, eps=eps))
    assert words in text and ("= 1 times" in text) == (eps == 2)


def test_an_upper_bound_is_told_with_its_condition():
    """The rise; without a bound that there is none."""
    results = search_results(13, eps=2, num_diverged=0, num_given_up=0)
    known = replace(results.guarantee, upper_bound=4 * results.guarantee.best_w)
    text = bounds(replace(results, guarantee=known))
    assert "at most 75.0% is missing" in text and "by more than a factor of" in text
    assert "The answer itself" not in text
    assert "There is no upper bound" in bounds(replace(results, guarantee=replace(known, upper_bound=None)))
    other = next(p for p in results.points if p.w is not None and p.w < known.best_w)
    assert "The answer itself has" in bounds(replace(results, guarantee=known, best=other.name))


def test_the_answer_stands_beside_the_optimum():
    """How much of its W is missing and how many places lie between; or that it is the optimum."""
    results = search_results(12, eps=1, tries_all=True)
    other = next(point.name for point in results.points if point.name != results.best and point.state == "tried")
    assert beside_optimum(replace(results, optimum=results.best)).startswith("The answer is the brute-force optimum")
    text = beside_optimum(replace(results, optimum=other, distance={"relative": 0.031, "places": 1.0}))
    assert f"optimum is {other}" in text and "lacks 3.1% of its W and lies 1 place from it" in text
    assert guarantee_numbers(replace(results, distance={"relative": 0.031}))["beside the optimum: relative"] == "0.031"


def test_times_say_where_they_come_from():
    """Measured or predicted, and how wrong predictions are; nothing where there are none."""
    assert times(search_results(8, with_times=False)) == ""
    assert times(search_results(8, eps=1)) == "Times of 8 candidates were measured."
    text = times(search_results(8, eps=2))
    assert "Times of 4 candidates were measured, those of 4 are predicted" in text
    assert text.endswith("its relative error: median 3.0%, largest 20.0%.")
    assert times(search_results(8, eps=2, latency_model=None)).endswith("by a latency model.")


def test_limits_are_said_in_their_units():
    """One that belongs to no cost under its own name."""
    results = search_results(8, limits={"max_mib": 1.0, "max_ms": 20.0, "budget": 3.0})
    assert limit_texts(results) == ["at most 1.00 MiB", "at most 20.0 ms", "budget = 3"]
