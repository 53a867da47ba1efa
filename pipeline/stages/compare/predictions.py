"""Which runs can be compared, and whether what they say differs by more than chance."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from pipeline.config.errors import UserError
from pipeline.config.sections.task import AUTO
from pipeline.evaluation.comparison import Comparison, compare_texts
from pipeline.evaluation.metrics import References
from pipeline.stages.evaluate import PREDICTIONS, read_predictions
from pipeline.tracking.tracker import FoundRun, Tracker

# What must be equal beside the references, and what may explain a difference.
SAME = {"dq.split": "split", "dq.metric": "metric", "dq.metric_signature": "metric signature"}
NOTED = {"dq.data": "data (their references are the same)"}

Predictions = tuple[list[str], References]  # predictions of a run, and what was expected


def differences_in_data(first: FoundRun, second: FoundRun, names: str) -> list[str]:
    """What may explain a difference between two runs, a sentence each.

    Args:
        first: a run.
        second: another one.
        names: what the sentences call the two.

    Raises:
        UserError: they were scored on different splits or by different metrics.
    """
    notes = []
    for tag, what in {**SAME, **NOTED}.items():
        values = [found.tags.get(tag, "none") for found in (first, second)]
        if values[0] == values[1]:
            continue
        difference = f"{names} differ in {what}: {values[0]} and {values[1]}"
        if tag in SAME:
            raise UserError(
                difference,
                "runs on the same examples by the same metric",
                "name runs of one task, split and metric tokenizer, or submit one of them again",
            )
        notes.append(difference)
    return notes


def predictions_of(tracker: Tracker, found: FoundRun) -> Predictions | None:
    """Predictions and references of a run; none if it has no file of them."""
    with TemporaryDirectory() as folder:
        path = tracker.download(found, PREDICTIONS, Path(folder))
        return None if path is None else read_predictions(path)


def compare_predictions(run: FoundRun, first: Predictions, second: Predictions) -> list[Comparison]:
    """Every score of two runs.

    Args:
        run: either of them; its metric is that of both.
        first: what the first says.
        second: what the second says.

    Raises:
        UserError: their references differ.
    """
    if first[1] != second[1]:
        raise UserError(
            "the references of the two runs differ", "the same examples", "score both with one evaluation.max_examples"
        )
    tokenizer = run.params.get("task.metric_tokenizer", AUTO)
    return compare_texts(run.tags["dq.metric"], first[0], second[0], first[1], tokenizer)


def interval(result: Comparison) -> str:
    """The 95 % interval of a difference."""
    low, high = result.low, result.high
    return "-" if low is None or high is None else f"{low:+.2f} to {high:+.2f}"
