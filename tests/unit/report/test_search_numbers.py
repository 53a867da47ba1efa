"""Numbers are written so that they can be read, and ticks of axes are round."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.report.search_numbers import axis_ticks, counted, shortened, significant

NUMBERS = st.floats(1e-4, 1e12)


@given(NUMBERS)
def test_four_digits_are_kept(value):
    """Whatever the size of the number; no exponent from a thousandth to a million."""
    text = significant(value)
    assert float(text.replace(",", "")) == pytest.approx(value, rel=6e-4)
    assert not 1e-3 < value < 1e6 or "e" not in text


@pytest.mark.parametrize(
    ("value", "text"), [(3.2, "3.200"), (0.0, "0"), (math.inf, "inf"), (1234.4, "1,234"), (12345.0, "12,345")]
)
def test_numbers_as_they_are_written(value, text):
    """Zeros that were seen stay, points without digits do not."""
    assert significant(value) == text


@given(NUMBERS)
def test_a_count_keeps_four_digits(value):
    """With its letter."""
    text, letter = (counted(value)[:-1], counted(value)[-1]) if counted(value)[-1].isalpha() else (counted(value), "")
    factor = {"": 1, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}[letter]
    assert float(text) * factor == pytest.approx(value, rel=6e-4)


@given(NUMBERS, st.floats(1.00001, 1e6), st.booleans())
def test_ticks_lie_within_their_axis(low, factor, is_log):
    """Three of them at least, rising, and told apart."""
    high = low * factor
    values, texts = axis_ticks(low, high, is_log)
    assert len(values) >= 3 and values == sorted(values)
    assert all(low * (1 - 1e-9) <= value <= high * (1 + 1e-9) for value in values)
    assert len(set(texts)) == len(texts) == len(values) < 30


def test_long_names_are_cut():
    """To so many characters, with a sign that they go on."""
    assert shortened("a" * 24) == "a" * 24
    assert shortened("a" * 60) == "a" * 23 + "…"
