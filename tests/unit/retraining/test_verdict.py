"""A gate's sentence says its number as people read it, and never one that contradicts the gate."""

import pytest

from pipeline.retraining.verdict import at_least, at_most


@pytest.mark.parametrize(
    ("measured", "allowed", "said"),
    [
        (-14.10256141, -3.0, "-14.1 points; allowed: at least -3 points"),
        (16.43793454, 0.0, "16.44 points; allowed: at least 0 points"),
        (0.0022593764, 0.2, "0.00226 points; allowed: at least 0.2 points"),
        (333280.0, 1513251.6, "333280 points; allowed: at least 1513251.6 points"),
        (-0.5000001, -0.5, "-0.5000001 points; allowed: at least -0.5 points"),
        (0.29999, 0.3, "0.29999 points; allowed: at least 0.3 points"),
        (0.0, 0.0, "0 points; allowed: at least 0 points"),
        (float("nan"), 1.0, "no finite number; allowed: at least 1 points"),
    ],
)
def test_a_sentence_has_the_digits_that_count(measured, allowed, said):
    """And as many more as tell the number from its bound."""
    assert at_least("g", "What", measured, allowed, " points").sentence == f"What: {said}."


@pytest.mark.parametrize("distance", [1e-3, 1e-6, 1e-11])
def test_whoever_reads_the_numbers_comes_to_the_same_decision(distance):
    """On either side of a bound, as near as a gate tells apart."""
    for gate in (at_most("g", "What", 5.0 + distance, 5.0), at_most("g", "What", 5.0 - distance, 5.0)):
        said = float(gate.sentence.split(": ")[1].split(";")[0])
        assert (said > 5.0) == (gate.measured > 5.0) and (said < 5.0) == (gate.measured < 5.0)
