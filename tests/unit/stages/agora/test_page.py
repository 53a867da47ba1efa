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


def test_where_every_training_failed_there_is_no_score():
    """What it has cost is said all the same."""
    (only,) = summary(DOCUMENT | {"test": None, "best": None, "development_is_contaminated": False})
    assert only.startswith("Ended:")
