"""The plots of error against cost stay readable, however many candidates there are."""

import itertools
from dataclasses import replace

import pytest
from made_up_search import search_results

from pipeline.report.search_costs import inference_axis, pareto_front_of, size_axis
from pipeline.report.search_label_places import box_of
from pipeline.report.search_rules import anchor
from pipeline.report.search_scatter import search_scatter, search_scatters


def scatters_of(results):
    return search_scatters(results, pareto_front_of(results))


def boxes(scatter):
    return {
        label.text: box_of(label.text, (scatter.x.place(label.dot.x), scatter.y.place(label.dot.error)), label.position)
        for label in scatter.labels
    }


@pytest.mark.parametrize("num", [1, 5, 40, 300])
def test_every_point_is_in_the_plot_and_no_number_covers_another(num):
    """Numbers are those of the front alone; the answer is always named."""
    results = search_results(num, eps=1, num_diverged=0, num_given_up=0)
    front = pareto_front_of(results)
    assert set(scatters_of(results)) == {"error_vs_size", "error_vs_latency"}
    for scatter in scatters_of(results).values():
        assert len(scatter.dots) == num
        for dot in scatter.dots:
            assert 0 < scatter.x.place(dot.x) < 1 and 0 < scatter.y.place(dot.error) < 1
        assert any("answer" in label.text for label in scatter.labels)
        assert all(label.dot.is_front or label.dot.point.name == results.best for label in scatter.labels)
        numbers = {label.text.split(",")[0] for label in scatter.labels if label.dot.is_front}
        assert numbers <= {str(number) for number in front.numbers.values()}
        placed = {text: box for text, box in boxes(scatter).items() if "answer" not in text}
        for one, other in itertools.combinations(placed.values(), 2):
            assert one[1] <= other[0] or other[1] <= one[0] or one[3] <= other[2] or other[3] <= one[2]
        assert all(box[0] >= 0 and box[1] <= 1 and box[2] >= 0 and box[3] <= 1 for box in placed.values())


def test_three_hundred_points_have_few_bars():
    """Those with a name; of few points all have them."""
    many = scatters_of(search_results(300, eps=1))["error_vs_latency"]
    assert len(many.with_bars) == len({label.dot.point.name for label in many.labels}) < len(many.dots)
    few = scatters_of(search_results(8, eps=1))["error_vs_latency"]
    assert list(few.with_bars) == list(few.dots)


def test_what_lies_far_away_is_pointed_at():
    """It squeezes nothing into a corner; what is near has a line."""
    results = search_results(8, eps=1)
    plain, _ = (scatters_of(replace(results, named=named))["error_vs_size"] for named in ({}, results.named))
    for bytes_, arrow in ((1e9, "→"), (1.0, "←"), (20_000.0, "")):
        scatter = scatters_of(replace(results, named={"Bort": {"size_bytes": bytes_}}))["error_vs_size"]
        (bort,) = [rule for rule in scatter.rules if "Bort" in rule.text]
        assert bort.arrow == arrow and arrow in bort.text
        assert (scatter.x == plain.x) or not arrow
        assert bool(arrow) or 0 < scatter.x.place(bort.x) < 1


def test_names_above_the_plot_do_not_cover_one_another():
    """T, architectures outside of the space and the limit, close together."""
    results = search_results(8, eps=1)
    near = {f"architecture {index}": {"size_bytes": 20_000.0 + 10 * index} for index in range(5)}
    scatter = scatters_of(replace(results, named=near, limits={"max_mib": 0.0192}))["error_vs_size"]
    assert len(scatter.rules) == 7
    (limit,) = [rule for rule in scatter.rules if rule.is_limit]
    assert limit.text == "at most 0.0192 MiB"
    assert len({(rule.row, anchor(rule, scatter.x)) for rule in scatter.rules}) == 7
    close = [rule for rule in scatter.rules if "architecture" in rule.text or rule.is_limit]
    assert len({rule.row for rule in close}) == len(close)


def test_an_architecture_that_is_a_point_needs_no_line():
    """It is named at its point; one that was not tried has a line."""
    results = search_results(8, eps=2)
    for index, lines in ((2, 1), (3, 2)):
        point = results.points[index]
        assert (point.state == "tried") == (lines == 1)
        drawn = scatters_of(replace(results, named={"Bort": point.costs}))["error_vs_size"]
        assert len(drawn.rules) == lines  # T has one, too
        assert any("Bort" in label.text for label in drawn.labels) == (lines == 1)
        assert bool(drawn.rings.get("named")) == (lines == 1 and point.name != results.best)


def test_one_error_far_above_the_others_makes_the_axis_logarithmic():
    """Else it would hide them."""
    results = search_results(12, eps=1)
    points = [replace(p, errors={30: 1e6}) if p.name == "candidate 9" else p for p in results.points]
    scatter = scatters_of(replace(results, points=points))["error_vs_size"]
    assert scatter.y.is_log and not scatters_of(results)["error_vs_size"].y.is_log
    assert all(0 < scatter.y.place(dot.error) < 1 for dot in scatter.dots)


def test_nothing_to_draw_is_no_plot():
    """Where nothing was tried to the end, and where no candidate has the cost."""
    results = search_results(8)
    nothing = replace(results, points=[replace(point, state="given up") for point in results.points])
    assert scatters_of(nothing) == {}
    no_costs = replace(results, points=[replace(point, latency_ms=None, costs={}) for point in results.points])
    axes = size_axis(results), inference_axis(results)
    assert search_scatter(no_costs, pareto_front_of(no_costs), *axes) is None


def test_colours_are_for_what_differs():
    """One candidate, or one time for all, needs no scale of colours."""
    assert scatters_of(search_results(8, eps=1))["error_vs_size"].shade is not None
    assert scatters_of(search_results(1, eps=1, num_diverged=0, num_given_up=0))["error_vs_size"].shade is None


def test_the_maximum_point_is_written_once():
    """Also where it stands among the architectures with a name."""
    results = search_results(8, eps=1)
    scatter = scatters_of(replace(results, named={"T": dict(results.maximum)}))["error_vs_size"]
    assert [rule.text.split()[0] for rule in scatter.rules if "T" in rule.text] == ["T"]
