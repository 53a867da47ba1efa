"""The Pareto front of a search compares what is known of all, and architectures with names are found again."""

from dataclasses import replace

import pytest
from made_up_search import search_results

from pipeline.report.search_costs import (
    BYTES,
    LATENCY,
    candidate_of,
    inference_axis,
    known_costs,
    marked,
    pareto_front_of,
    scored,
    size_axis,
)


def objectives(point):
    return (point.costs["size_bytes"], point.latency_ms, point.error)


def dominates(one, other):
    pairs = list(zip(objectives(one), objectives(other), strict=True))
    return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)


def test_the_front_is_what_nothing_beats_in_bytes_time_and_error():
    """By the definition, of those alone that were tried to the end; numbered from cheap to dear."""
    results = search_results(60, tries_all=True)
    given, front = scored(results), pareto_front_of(results)
    assert 3 < len(front.points) < len(given) < 60
    undominated = {point.name for point in given if not any(dominates(other, point) for other in given)}
    assert {point.name for point in front.points} == undominated == set(front.numbers)
    sizes = [point.costs["size_bytes"] for point in front.points]
    assert sizes == sorted(sizes) and list(front.numbers.values()) == list(range(1, len(sizes) + 1))
    assert front.objectives == ["bytes", "ms", "error"] and front.num_left_out == 0


def test_without_times_the_front_is_of_bytes_and_error():
    """A slow candidate is not kept for a time that nobody knows; the plot beside it shows what W counts."""
    results = search_results(60, tries_all=True, with_times=False)
    front = pareto_front_of(results)
    assert front.objectives == ["bytes", "error"]
    errors = [point.error for point in front.points]
    assert errors == sorted(errors, reverse=True)
    assert inference_axis(results).key == "operations"


def test_what_has_no_time_is_not_compared_with_what_has_one():
    """It is left out, and counted."""
    results = search_results(12, tries_all=True)
    without = [replace(point, latency_ms=None) if point.name == "candidate 5" else point for point in results.points]
    front = pareto_front_of(replace(results, points=without))
    assert "candidate 5" not in front.numbers and front.num_left_out == 1


def test_bytes_are_shown_where_all_have_them():
    """Else the size in W, which every candidate has."""
    results = search_results()
    assert size_axis(results) is BYTES and inference_axis(results) is LATENCY
    points = [replace(point, costs={"parameters": point.costs["parameters"]}) for point in results.points]
    plain = replace(results, points=points)
    assert size_axis(plain).key == "parameters"
    assert pareto_front_of(plain).objectives == ["parameters", "ms", "error"]
    assert BYTES.of({"size_bytes": 2**20}) == 1.0 and BYTES.of({}) is None


@pytest.mark.parametrize(
    ("name", "change", "found"),
    [
        ("candidate 3", {}, True),
        ("Bort", {"latency_ms": 999.0}, True),  # another machine's time
        ("Bort", {"parameters": 1.0}, False),
    ],
)
def test_an_architecture_with_a_name_is_found_among_the_candidates(name, change, found):
    """By its name, or as the only one with its costs."""
    points = search_results().points
    candidate = candidate_of(name, {**known_costs(points[3]), **change}, points)
    assert (candidate is points[3]) == found and (candidate is None) != found


def test_costs_that_two_have_name_neither():
    """Heads change neither parameters nor operations; nor does a time tell anything."""
    points = search_results().points
    twins = [*points, replace(points[3], name="twin")]
    assert candidate_of("Bort", points[3].costs, twins) is None
    assert candidate_of("Bort", {"latency_ms": points[3].latency_ms}, points) is None


def test_marks_of_one_candidate_stand_together():
    """Answer, optimum, and an architecture with a name."""
    results = search_results(8, tries_all=True)
    best = next(point for point in results.points if point.name == results.best)
    same = replace(results, optimum=results.best, named={"Bort": best.costs})
    assert marked(same) == {results.best: ["answer", "optimum", "Bort"]}
    assert marked(replace(results, optimum=None, named={"Bort": {"parameters": 1.0}})) == {results.best: ["answer"]}
