"""`infra/check/quantities.py`: amounts as Kubernetes reads them."""

from fractions import Fraction

import pytest

from infra.check.quantities import quantity


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1", 1),
        (2, 2),
        (0.5, Fraction(1, 2)),
        ("500m", Fraction(1, 2)),
        ("1Gi", 2**30),
        ("1G", 10**9),
        ("1.5Ki", 1536),
        ("100k", 100_000),
        ("1e3", 1000),
        ("12E2", 1200),
        ("-1", -1),
        ("2E", 2 * 10**18),
    ],
)
def test_an_amount_is_its_number(text, number):
    """Binary and decimal suffixes differ by seven per cent for giga: exactly."""
    assert quantity(text) == number


@pytest.mark.parametrize("text", ["", "1GB", "1 Gi", "Gi", "1gi", "1K", True, None, "1m5", "0x10"])
def test_what_is_no_amount_is_none(text):
    """The server would refuse it."""
    assert quantity(text) is None
