"""What training wins back of what quantizing without training costs."""

from dataclasses import replace

import pytest

from pipeline.stages.sweep.recovery import recovered_percent
from pipeline.stages.sweep.train.run_cohorts import StudentResult


def student(key, score, **settings):
    common = {"run_id": None, "failure": None, "stopped": None, "requested": True, "group": ""}
    return StudentResult(name=key, key=key, metrics={"accuracy": score}, **{**common, **settings})


def untrained(score, **settings):
    return student("ptq", score, trained_key="qat", full_precision_key="fp32", **settings)


@pytest.mark.parametrize(
    ("trained", "percent"), [(90.0, 100.0), (80.0, 50.0), (70.0, 0.0), (60.0, -50.0), (100.0, 150.0)]
)
def test_it_is_the_trained_student_s_way_from_untrained_to_full_precision(trained, percent):
    """None, all, more than all, less than nothing."""
    assert recovered_percent([student("fp32", 90.0), student("qat", trained), untrained(70.0)], "accuracy") == {
        "qat": percent
    }


def test_nobody_can_say_it_where_one_of_the_three_has_no_score():
    """Absent, failed, or given up."""
    three = [student("fp32", 90.0), student("qat", 80.0), untrained(70.0)]
    assert recovered_percent(three, "accuracy")
    for number in range(3):
        others = three[:number] + three[number + 1 :]
        for lost in ({"failure": "no"}, {"stopped": "late"}, {"metrics": {}}):
            assert recovered_percent([*others, replace(three[number], **lost)], "accuracy") == {}
        assert recovered_percent(others, "accuracy") == {}


@pytest.mark.parametrize("score", [90.0, 91.0])
def test_what_costs_nothing_is_not_won_back(score):
    """A division by nothing, or by a gain."""
    assert recovered_percent([student("fp32", 90.0), student("qat", 80.0), untrained(score)], "accuracy") == {}
