"""The job `compare`: two finished runs on the same examples."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pipeline.config.errors import UserError
from pipeline.config.schema import JobConfig
from pipeline.evaluation.comparison import Comparison, compare_texts
from pipeline.evaluation.metrics import References
from pipeline.stages.evaluate import PREDICTIONS, read_predictions
from pipeline.stages.runs import open_tracker, tracking_uri
from pipeline.tracking.progress import say
from pipeline.tracking.report import text_table
from pipeline.tracking.tracker import FoundRun, Tracker, check_store_exists

# What must be equal beside the references, and what may explain a difference.
SAME = {"dq.split": "split", "dq.metric": "metric"}
NOTED = {"dq.data": "data (their references are the same)", "dq.metric_signature": "metric signature when they ran"}


def run(config: JobConfig) -> dict[str, Any]:
    """Print the comparison of two runs.

    Returns:
        the document printed by the job.

    Raises:
        UserError: a run that does not exist or has no predictions; runs on different examples.
    """
    names = (config.comparison.first, config.comparison.second)
    if not all(names):
        raise UserError("fewer than two runs", "two run ids or run names", "write python jobs/compare.py RUN_A RUN_B")
    check_store_exists(tracking_uri(config))
    tracker = open_tracker(config, patience_seconds=0.0)
    runs = [tracker.one_run(name) for name in names]
    _check_comparable(runs)
    (first, references), (second, others) = (_predictions(tracker, found) for found in runs)
    if references != others:
        raise UserError(
            "the references of the two runs differ", "the same examples", "score both with one evaluation.max_examples"
        )
    results = compare_texts(runs[0].tags["dq.metric"], first, second, references)
    say(
        "\n"
        + text_table(_lines(runs, results))
        + f"\n\n{len(references)} examples, {runs[0].tags['dq.metric_signature']}"
    )
    return {
        "status": "finished",
        "runs": [found.run_id for found in runs],
        "num_examples": len(references),
        "results": [asdict(result) for result in results],
    }


def _check_comparable(runs: list[FoundRun]) -> None:
    for found in runs:
        if not found.finished:
            raise UserError(
                f"run '{found.name}' ({found.run_id}) is {found.status}", "a finished run", "wait, or train it again"
            )
    for tag, what in {**SAME, **NOTED}.items():
        values = [found.tags.get(tag, "none") for found in runs]
        if values[0] == values[1]:
            continue
        difference = f"'{runs[0].name}' and '{runs[1].name}' differ in {what}: {values[0]} and {values[1]}"
        if tag in SAME:
            raise UserError(
                difference, "runs on the same examples by the same metric", "name runs of one task and split"
            )
        say(difference)


def _predictions(tracker: Tracker, found: FoundRun) -> tuple[list[str], References]:
    with TemporaryDirectory() as folder:
        path = tracker.download(found, PREDICTIONS, Path(folder))
        if path is None:
            raise UserError(
                f"run '{found.name}' ({found.run_id}) has no {PREDICTIONS}",
                "a finished run of a teacher or a student",
                "name another run, or train it again",
            )
        return read_predictions(path)


def _lines(runs: list[FoundRun], results: list[Comparison]) -> list[list[str]]:
    lines = [["metric", *(f"{found.name} ({found.run_id[:6]})" for found in runs), "difference", "95 %", "p"]]
    for result in results:
        low, high = result.low, result.high
        interval = "-" if low is None or high is None else f"{low:+.2f} to {high:+.2f}"
        scores = [f"{result.first:.2f}", f"{result.second:.2f}", f"{result.second - result.first:+.2f}"]
        lines.append([result.name, *scores, interval, f"{result.p_value:.3f}"])
    return lines
