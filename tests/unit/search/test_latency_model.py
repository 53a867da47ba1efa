"""Times that were not measured: what is fitted, how far it may be trusted, what is refused."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import nnls

from pipeline.config.errors import UserError
from pipeline.search.latency_model import MeasuredPoint, fit_latency, non_negative_least_squares

COSTS = {"constant": 3.0, "layers": 0.5, "operations": 2e-9}


def point(layers, operations, milliseconds=None, spread_ms=0.0):
    features = {"constant": 1, "layers": layers, "operations": operations}
    exact = sum(COSTS[name] * value for name, value in features.items())
    return MeasuredPoint(
        features=features, milliseconds=exact if milliseconds is None else milliseconds, spread_ms=spread_ms
    )


EXACT = [point(1, 1e9), point(2, 1e9), point(3, 5e9), point(6, 2e9), point(6, 9e9)]


@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(1, 7), st.booleans())
def test_the_least_squares_are_those_of_scipy(seed, num_rows, num_columns, whole):
    """Also where columns repeat, or are more than the rows; no number is negative."""
    draw = np.random.default_rng(seed)
    matrix, target = draw.normal(size=(num_rows, num_columns)), draw.normal(size=num_rows)
    if whole:
        matrix, target = np.abs(matrix.round()), target.round()
    found, (_, residual) = non_negative_least_squares(matrix, target), nnls(matrix, target)
    assert (found >= 0).all()
    assert np.linalg.norm(matrix @ found - target) == pytest.approx(residual, abs=1e-9)


def test_times_that_are_a_sum_are_found_again():
    """Whatever the size of a feature; the model then errs at no point that is left out."""
    model = fit_latency(EXACT)
    assert dict(model.coefficients) == pytest.approx(COSTS)
    assert model.left_out == {}
    assert model.errors == pytest.approx([0.0] * 5, abs=1e-9)
    said = model.predict({"constant": 1, "layers": 4, "operations": 3e9})
    assert said.milliseconds == pytest.approx(11.0)
    assert (said.low, said.high, said.beyond) == (pytest.approx(11.0), pytest.approx(11.0), ())


def test_an_error_is_that_of_the_model_without_the_point():
    """One time that is twice what it should be: it is told how far off it was, and the largest error is known."""
    points = [*EXACT, point(4, 4e9, milliseconds=2 * 13.0)]
    model = fit_latency(points)
    without = fit_latency(EXACT).predict(points[-1].features).milliseconds
    assert model.errors[-1] == pytest.approx(without / 26.0 - 1) == pytest.approx(-0.5)
    assert model.max_error == max(map(abs, model.errors)) >= 0.5 >= model.median_error


def test_what_is_sampled_badly_counts_less():
    """But what shows no spread does not decide alone."""
    wrong = point(3, 5e9, milliseconds=30.0, spread_ms=30.0)
    right = fit_latency([*EXACT, wrong]).predict(wrong.features).milliseconds
    trusted = MeasuredPoint(features=wrong.features, milliseconds=30.0, spread_ms=0.0)
    misled = fit_latency([*EXACT, trusted]).predict(wrong.features).milliseconds
    assert 14.5 < right < misled < 30.0


def test_no_part_saves_time():
    """A time that falls with a feature is not explained by it."""
    points = [
        MeasuredPoint(features={"constant": 1, "bits": bits}, milliseconds=10.0 - bits, spread_ms=0.0)
        for bits in (1, 2, 4, 8)
    ]
    assert fit_latency(points).coefficients["bits"] == 0


@pytest.mark.parametrize(("num", "used"), [(2, 1), (3, 2), (4, 3), (5, 3)])
def test_there_are_fewer_features_than_points_and_the_others_are_named(num, used):
    """So that each point can be left out; the first features are the important ones."""
    model = fit_latency(EXACT[:num] if num > 2 else EXACT[:1] + EXACT[2:3])
    assert list(model.coefficients) == list(COSTS)[:used]
    assert list(model.left_out) == list(COSTS)[used:]
    assert all("one more than features" in reason for reason in model.left_out.values())
    assert len(model.errors) == num


def test_what_the_points_cannot_tell_apart_is_left_out():
    """Bits that all have, and a count that is always twice another one; predictions beyond them say so."""
    points = [
        MeasuredPoint(
            features={"constant": 1, "layers": layers, "bits": 2, "norms": 2 * layers}, milliseconds=time, spread_ms=0.0
        )
        for layers, time in ((1, 2.0), (2, 3.0), (4, 5.0), (5, 6.1))
    ]
    model = fit_latency(points)
    assert list(model.coefficients) == ["constant", "layers"]
    assert model.left_out == dict.fromkeys(("bits", "norms"), "among the measured points it follows from the others")
    assert model.predict({"constant": 1, "layers": 3, "bits": 8, "norms": 6}).beyond == ("bits",)
    assert model.predict({"constant": 1, "layers": 6, "bits": 2, "norms": 2}).beyond == ("layers",)


@given(st.integers(2, 12), st.integers(0, 2**32 - 1))
def test_the_interval_holds_as_many_points_as_it_says(num, seed):
    """Points left out in turn; of a few it is all of them."""
    draw = np.random.default_rng(seed)
    points = [
        point(layers, operations, spread_ms=0.1, milliseconds=float(draw.uniform(1, 30)))
        for layers, operations in zip(draw.integers(1, 9, num), draw.uniform(1e9, 9e9, num), strict=True)
    ]
    model = fit_latency(points)
    ratios = [1 + error for error in model.errors]
    inside = [1 / model.factor - 1e-9 <= 1 / ratio <= model.factor + 1e-9 for ratio in ratios if ratio > 0]
    assert sum(inside) >= model.coverage * num or math.isinf(model.factor)
    said = model.predict(points[0].features)
    assert said.low <= said.milliseconds <= said.high
    assert model.coverage == pytest.approx(min(0.8, num / (num + 1)))


BAD = [
    (EXACT[:1], "1 measured points"),
    ([], "0 measured points"),
    ([*EXACT, point(1, 1e9, milliseconds=0.0)], "time of 0 ms"),
    ([*EXACT, point(1, 1e9, milliseconds=math.nan)], "time of nan ms"),
    ([*EXACT, point(1, 1e9, spread_ms=-1.0)], "spread of -1 ms"),
    ([*EXACT, point(-1, 1e9, milliseconds=1.0)], "layers = -1"),
    ([*EXACT, MeasuredPoint(features={"other": 1}, milliseconds=1.0, spread_ms=0.0)], "features other"),
    ([MeasuredPoint(features={}, milliseconds=1.0, spread_ms=0.0)] * 3, "without features"),
    ([MeasuredPoint(features={"layers": 0}, milliseconds=1.0, spread_ms=0.0)] * 3, "all 0"),
]


@pytest.mark.parametrize(("points", "message"), BAD, ids=[message for _, message in BAD])
def test_what_no_model_can_be_fitted_to_is_refused(points, message):
    """And so is a prediction for other features."""
    with pytest.raises(UserError, match=message):
        fit_latency(points)
    with pytest.raises(UserError, match="features layers"):
        fit_latency(EXACT).predict({"layers": 3})
