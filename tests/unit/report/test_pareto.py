"""The Pareto front and thinned curves keep what matters."""

import itertools
import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.report.curves import Curve, by_metric, curve_metrics, rounded, thinned, wants_log_axis
from pipeline.report.pareto import SIZE, Point, pareto_front, styles
from pipeline.report.results import Results, Row
from pipeline.report.scatter_layout import CHARACTER_WIDTH, LINE_HEIGHT, scatter_layout_of
from pipeline.report.static_plots import write_plots

COSTS, SCORES = st.integers(1, 9), st.integers(0, 9)  # few values: ties are where such code errs
NUMBERS = st.floats(-1e6, 1e6, allow_nan=False)


def point(x, score):
    rows = [Row(name="a", scores={})]
    return Point(name="a", key="a", x=float(x), score=float(score), low=None, high=None, rows=rows)


@pytest.mark.parametrize(("low", "high", "bar"), [(8, 13, (2, 3)), (11, 13, (0, 3)), (7, 9, (3, 0))])
def test_an_interval_beside_its_score_is_drawn_too(low, high, bar, tmp_path):
    """Of few sentences BLEU may lie outside the interval of its resamples; the pictures take it."""
    assert replace(point(1, 10), low=float(low), high=float(high)).bar == bar
    rows = [Row(name="a", scores={"bleu": 10.0, "bleu_low": low, "bleu_high": high}, size_bytes=9)]
    results = Results(rows=rows, columns={"bleu": "BLEU"}, headline="bleu", title="", split="test")
    write_plots(results, tmp_path)
    assert list(tmp_path.glob("quality*.png"))


def dominates(one, other):
    no_worse = one.x <= other.x and one.score >= other.score
    return no_worse and (one.x < other.x or one.score > other.score)


@given(st.lists(st.builds(point, COSTS, SCORES), max_size=12))
def test_the_front_is_what_nothing_dominates(points):
    """No point of it is dominated, every other point is, and it rises from cheap to dear."""
    front = pareto_front(points)
    undominated = [p for p in points if not any(dominates(other, p) for other in points)]
    assert sorted((p.x, p.score) for p in front) == sorted((p.x, p.score) for p in undominated)
    assert [p.x for p in front] == sorted(p.x for p in front)
    assert [p.score for p in front] == sorted(p.score for p in front)


@given(
    st.lists(st.tuples(st.integers(1, 10**9), st.floats(0, 100), st.text(max_size=60)), min_size=1, max_size=12),
    st.floats(0, 100),
)
def test_a_plot_shows_every_point_and_no_name_twice_in_one_place(models, baseline):
    """All within its limits; names of the front apart from one another and not left of the plot; no score squeezed."""
    rows = [
        Row(name=f"{name}{i}", scores={"bleu": score}, size_bytes=size) for i, (size, score, name) in enumerate(models)
    ]
    rows.append(Row(name="none", kind="baseline", scores={"bleu": baseline}))
    layout = scatter_layout_of(
        Results(rows=rows, columns={"bleu": "BLEU"}, headline="bleu", title="", split="test"), SIZE
    )
    width, height = (ends[1] - ends[0] for ends in (layout.costs, layout.scores))
    boxes = []
    for name in layout.names:
        right = (math.log10(name.point.x) - layout.costs[0]) / width
        left = right - min(0.5, CHARACTER_WIDTH * len(name.point.name))
        boxes.append((left, right, (name.score - layout.scores[0]) / height))
        assert left >= 0
        assert name.score >= name.point.score
    for one, other in itertools.combinations(boxes, 2):
        apart = one[1] <= other[0] or other[1] <= one[0]
        assert apart or abs(one[2] - other[2]) > 0.99 * LINE_HEIGHT
    for p in layout.points:
        assert layout.costs[0] < math.log10(p.x) < layout.costs[1]
        assert layout.scores[0] < p.score < layout.scores[1]
    scores = [p.score for p in layout.points]
    assert max(scores) - min(scores) < 2 or (max(scores) - min(scores)) > 0.3 * height
    (level,) = layout.levels
    assert bool(level.arrow) != (layout.scores[0] < baseline < layout.scores[1])


@given(st.lists(NUMBERS, max_size=300), st.integers(4, 50))
def test_thinned_curves_keep_ends_and_peaks(values, most):
    """At most so many points, all of them real, first and last, lowest and highest among them."""
    points = list(enumerate(values))
    kept = thinned(points, most)
    assert len(kept) <= most or len(points) <= most
    assert [p for p in points if p in kept] == kept
    if values:
        assert (kept[0], kept[-1]) == (points[0], points[-1])
        ends = {value for _, value in kept}
        assert (min(ends), max(ends)) == (min(values), max(values))


def test_curves_come_in_a_fixed_order():
    """Losses first, what is no curve of training not at all."""
    names = ["validation_loss", "gradient_norm", "size_bytes", "task_loss", "loss", "a_loss", "test_rouge1"]
    assert curve_metrics(names) == ["loss", "task_loss", "a_loss", "gradient_norm", "validation_loss"]
    curves = [Curve(metric=name, name="a", group="", points=[(1, 1.0)]) for name in names]
    assert list(by_metric(curves)) == curve_metrics(names)


@pytest.mark.parametrize(
    ("values", "log"), [([1.0, 2.0, 3.0], False), ([1.0, 2.0, 1e9], True), ([-1.0, 2, 1e9], False)]
)
def test_a_diverging_student_does_not_hide_the_others(values, log):
    """Its panel is logarithmic if it can be."""
    assert wants_log_axis([Curve(metric="loss", name="a", group="", points=list(enumerate(values)))]) == log


@given(NUMBERS)
def test_rounding_keeps_five_digits(value):
    """Relative to the value."""
    assert rounded(value) == pytest.approx(value, rel=1e-4)


def test_sixty_students_look_different():
    """Colour, marker and dash together; seeds of one student look alike."""
    rows = [Row(name=f"{i} {seed}", scores={}, group=f"{i}#") for i in range(60) for seed in (1, 2)]
    looks = styles(Results(rows=rows, columns={}, headline="", title="", split="test"))
    assert len({(look.colour, look.shape) for look in looks.values()}) == len(looks) == 60
