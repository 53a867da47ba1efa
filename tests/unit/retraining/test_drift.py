"""Both nights in numbers."""

import pytest
from made_up_pairs import labelled, shuffled, translations

from pipeline.retraining.drift import drift_of
from pipeline.retraining.pairs import Pairs


def by_name(report):
    names = ("name", "reference", "new", "change")
    return {one.name: {name: getattr(one, name) for name in names} for one in report.numbers}


def test_numbers_are_those_of_both_nights():
    """Quantiles, distances, words; the change is new less reference."""
    new, reference = Pairs(["a b c d", "a b"], ["x", "x"]), Pairs(["a b", "b a"], ["x y", "y z"])
    rows = by_name(drift_of(new, reference, has_labels=False))
    assert rows["examples"]["change"] == 0
    assert rows["source words, 50% quantile"] == {
        "name": "source words, 50% quantile", "reference": 2.0, "new": 3.0, "change": 1.0,
    }  # fmt: skip
    assert rows["source lengths, Kolmogorov-Smirnov distance"]["new"] == 0.5
    known = rows["source words known before, share"]
    assert known["reference"] == 1.0 and known["new"] == pytest.approx(4 / 6)
    assert rows["target words known before, share"]["reference"] == 0.5
    assert "quality of the champion" not in rows


def test_labels_have_shares_instead_of_lengths():
    """Also those that only one night has."""
    new, reference = Pairs(["a"] * 4, ["no", "yes", "yes", "new"]), Pairs(["a"] * 2, ["no", "yes"])
    rows = by_name(drift_of(new, reference, has_labels=True))
    assert (rows["label new, share"]["reference"], rows["label new, share"]["new"]) == (0.0, 0.25)
    assert rows["labels, total variation"]["new"] == 0.25
    assert not any(name.startswith("target") for name in rows)


@pytest.mark.parametrize(("scores", "change"), [((0.7, 0.8), pytest.approx(-0.1)), ((0.7, None), None)])
def test_the_champion_s_quality_is_handed_in(scores, change):
    """A night that was not measured has none, and no change."""
    row = by_name(drift_of(labelled(5), labelled(5), True).with_quality(*scores))["quality of the champion"]
    assert row["new"] == 0.7 and row["change"] == change


def test_without_anything_accepted_new_numbers_stand_alone():
    """Nothing is told that is about both: distances, known words."""
    for has_labels in (False, True):
        rows = by_name(drift_of(labelled(9), None, has_labels))
        assert rows["examples"] == {"name": "examples", "reference": None, "new": 9, "change": None}
        assert not any("distance" in name or "known" in name or "variation" in name for name in rows)
        assert all(row["reference"] is None and row["new"] is not None for row in rows.values())


def test_what_is_known_of_tonight_has_the_name_of_a_metric():
    """Labels have no metrics, because any text may be one; what nobody has measured has none either."""
    report = drift_of(labelled(5), labelled(5), True)
    metrics = report.with_quality(None, 0.5).metrics()
    assert metrics["examples"] == 5 and metrics["labels_variation"] == 0 and "champion_quality" not in metrics
    assert report.with_quality(0.25, None).metrics()["champion_quality"] == 0.25
    assert "" not in metrics and all(name.replace("_", "").isalnum() for name in metrics)


def test_order_makes_no_difference_and_no_examples_no_error():
    """Of nothing there are no quantiles."""
    pairs, reference, nothing = translations(50), translations(50, seed=1), Pairs([], [])
    assert drift_of(shuffled(pairs), shuffled(reference), False) == drift_of(pairs, reference, False)
    assert by_name(drift_of(nothing, pairs, False))["source words, 50% quantile"]["new"] is None
