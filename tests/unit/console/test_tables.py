"""Tables and numbers as people read them."""

import pytest

from pipeline.console.tables import plain_number


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (0.0, "0"),
        (35738.0, "35,738"),
        (-28990.4, "-28,990"),
        (0.45512, "0.4551"),
        (2.8e-5, "< 0.0001"),
        (-2.8e-5, "> -0.0001"),
        (21.35, "21.35"),
        (1.0, "1"),
    ],
)
def test_a_number_for_people_has_no_exponent(value, text):
    """However large or small it is."""
    assert plain_number(value) == text
