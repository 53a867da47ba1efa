"""Curves and the plot of W show who went on, who was given up and what was never tried."""

import math
from dataclasses import replace

import pytest
from made_up_search import search_results

from pipeline.report.search_costs import pareto_front_of
from pipeline.report.search_curves import error_curves, step_ticks, steps_want_log, w_plot


def test_curves_end_where_a_candidate_did():
    """Given up: at its last step; diverged: at its last finite error; the answer is drawn last, over the others."""
    results = search_results(12, eps=1, num_given_up=2)
    curves = error_curves(results, pareto_front_of(results))
    ends = {curve.name: (curve.group, curve.points[-1][0]) for curve in curves}
    assert len(ends) == 12
    assert ends["candidate 0"] == ("diverged", 3)
    assert [name for name, end in ends.items() if end == ("given up", 10)] == ["candidate 9", "candidate 10"]
    assert curves[-1].group == "answer" and curves[-1].name == results.best
    assert all(math.isfinite(error) for curve in curves for _, error in curve.points)
    assert step_ticks(curves) == [3, 10, 30] and steps_want_log(curves)


def test_one_step_is_no_curve():
    """The published search trains for three steps and looks once."""
    results = search_results()
    once = [replace(point, errors=dict(list(point.errors.items())[:1])) for point in results.points]
    assert error_curves(replace(results, points=once), pareto_front_of(results)) == []


def test_every_candidate_has_a_place_in_the_plot_of_w():
    """Also those that were not tried, at 0."""
    results = search_results(12, eps=3)
    plot = w_plot(results, pareto_front_of(results))
    places = sorted(place for shown in plot.shown.values() for place, _, _ in shown)
    assert places == list(range(1, 13))
    assert len(plot.shown["not tried"]) == 8 and {w for _, w, _ in plot.shown["not tried"]} == {0.0}
    assert (
        w_plot(replace(results, points=[replace(p, w=None) for p in results.points]), pareto_front_of(results)) is None
    )


@pytest.mark.parametrize(("factor", "is_far"), [(1.5, False), (50.0, True), (None, False)])
def test_the_upper_bound_is_a_line_or_pointed_at(factor, is_far):
    """It never squeezes the candidates; without one nothing is written."""
    results = search_results(12, eps=1)
    most = max(point.w for point in results.points)
    bound = None if factor is None else factor * most
    plot = w_plot(replace(results, guarantee=replace(results.guarantee, upper_bound=bound)), pareto_front_of(results))
    assert plot.is_far == is_far and plot.text.startswith("↑") == is_far
    assert bool(plot.text) == (bound is not None)
    assert plot.highest <= 3.5 * most and (bound is None or is_far or bound < plot.highest)
