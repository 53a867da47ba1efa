"""What Agora's page says first."""

from pipeline.stages.agora.page import summary

DOCUMENT = {
    "metric": "accuracy",
    "test": {"accuracy": 81.5, "accuracy_low": 79.0, "accuracy_high": 84.0},
    "test_teacher": {"accuracy": 90.0},
    "best": {"bytes": 12345},
    "stopped": "the rounds are used up",
    "labelled": 7,
    "teacher_calls": 9,
    "trainings": 4,
    "rounds": [{}],
    "development_is_contaminated": True,
}


def test_the_test_split_stands_first_and_what_flatters_is_said():
    """With its interval, size and the teacher's score."""
    first, cost, warning = summary(DOCUMENT)
    assert first == (
        "Test split, looked at once: accuracy 81.50 (95 %: 79.00 to 84.00), 12,345 bytes; the teacher has 90.00."
    )
    assert "Ended: the rounds are used up." in cost and "7 labels" in cost
    assert warning.startswith("Points of the development set are in the training set")


def test_who_adds_texts_is_told_what_that_was_worth():
    """Measured controls; where nothing was added there is nothing to say."""
    *_, last = summary(DOCUMENT | {"rounds": [{}, {}]})
    assert "no way of adding them beat as many optimiser steps" in last
    assert not any("beat" in text for text in summary(DOCUMENT))


def test_where_every_training_failed_there_is_no_score():
    """What it has cost is said all the same."""
    (only,) = summary(DOCUMENT | {"test": None, "best": None, "development_is_contaminated": False})
    assert only.startswith("Ended:")
