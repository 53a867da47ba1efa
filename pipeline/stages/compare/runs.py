"""Two runs of teachers or students: every score, what they cost, which settings differ."""

from __future__ import annotations

import logging
from dataclasses import asdict
from typing import Any

from pipeline.config.errors import UserError
from pipeline.console.tables import text_table
from pipeline.evaluation.comparison import Comparison
from pipeline.stages.compare.predictions import (
    Predictions,
    compare_predictions,
    differences_in_data,
    interval,
    predictions_of,
)
from pipeline.stages.compare.settings_and_cost import (
    measure_lines,
    measures,
    other_machine,
    setting_differences,
    setting_lines,
)
from pipeline.stages.evaluate import PREDICTIONS
from pipeline.tracking.tracker import FoundRun, Tracker

log = logging.getLogger(__name__)


def compare_runs(tracker: Tracker, first: FoundRun, second: FoundRun) -> dict[str, Any]:
    """Print the comparison of two runs.

    Returns:
        what the job's document says of it.

    Raises:
        UserError: an unfinished run, one without predictions, runs on different examples.
    """
    for found in (first, second):
        if not found.finished:
            raise UserError(
                f"run '{found.name}' ({found.run_id}) is {found.status}", "a finished run", "wait, or train it again"
            )
    for note in differences_in_data(first, second, f"'{first.name}' and '{second.name}'"):
        log.warning(note)
    predictions = [_predictions_of(tracker, found) for found in (first, second)]
    results = compare_predictions(first, *predictions)
    titles = (f"{first.name} ({first.run_id[:6]})", f"{second.name} ({second.run_id[:6]})")
    num_examples, measured = len(predictions[0][1]), (measures(first, second), measures(second, first))
    settings, machines = setting_differences(first, second), other_machine(first, second)
    log.info(
        f"\n{text_table(_score_lines(titles, results))}\n\n{num_examples} examples, {first.tags['dq.metric_signature']}"
    )
    if any(measured):
        log.info(f"\n{text_table(measure_lines(*measured, titles))}")
    if machines:
        log.info(f"\n{machines}")
    log.info(f"\n{text_table(setting_lines(settings, titles))}" if settings else "\nno setting differs")
    return {
        "kind": "runs",
        "num_examples": num_examples,
        "results": [asdict(result) for result in results],
        "measures": measured,
        "machines": machines,
        "settings": settings,
    }


def _predictions_of(tracker: Tracker, found: FoundRun) -> Predictions:
    predictions = predictions_of(tracker, found)
    if predictions is None:
        raise UserError(
            f"run '{found.name}' ({found.run_id}) has no {PREDICTIONS}",
            "a finished run of a teacher or a student",
            "name another run, or train it again",
        )
    return predictions


def _score_lines(titles: tuple[str, str], results: list[Comparison]) -> list[list[str]]:
    lines = [["metric", *titles, "difference", "95 %", "p"]]
    for result in results:
        scores = [f"{result.first:.2f}", f"{result.second:.2f}", f"{result.second - result.first:+.2f}"]
        lines.append([result.name, *scores, interval(result), f"{result.p_value:.3f}"])
    return lines
