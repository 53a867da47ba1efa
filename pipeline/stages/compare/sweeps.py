"""Two sweeps, student by student: the headline, its difference, size and speed in one table."""

from __future__ import annotations

import logging
from dataclasses import asdict
from typing import Any

from pipeline.config.errors import UserError
from pipeline.console.tables import text_table
from pipeline.evaluation.metrics import HEADLINES
from pipeline.stages.compare.match_students import LeftOut, Pair, match_students
from pipeline.stages.compare.predictions import Predictions, compare_predictions, differences_in_data, predictions_of
from pipeline.stages.compare.settings_and_cost import measures, other_machine, setting_differences, setting_lines
from pipeline.stages.compare.sweep_table import Alone, Row, means_over_seeds, table_of_sweeps
from pipeline.stages.evaluate import PREDICTIONS
from pipeline.tracking.tracker import FoundRun, Tracker

TEACHER = "teacher"

log = logging.getLogger(__name__)


def compare_sweeps(tracker: Tracker, first: FoundRun, second: FoundRun) -> dict[str, Any]:
    """Print the comparison of two sweeps.

    Returns:
        what the job's document says of it.

    Raises:
        UserError: sweeps on different examples, or without anything in common.
    """
    matched = match_students(tracker.children(first.run_id), tracker.children(second.run_id))
    pairs, predictions, silent = _with_predictions(tracker, [*_teachers(tracker, first, second), *matched.pairs])
    if not pairs:
        raise UserError(
            f"sweeps '{first.name}' ({first.run_id}) and '{second.name}' ({second.run_id}) without a finished student "
            "in common",
            "sweeps that have one",
            "name two others, or set tracking.experiment to theirs",
        )
    for note in dict.fromkeys(
        note for pair in pairs for note in differences_in_data(pair.first, pair.second, "A and B")
    ):
        log.warning(note)
    metric = pairs[0].first.tags["dq.metric"]
    headline = HEADLINES[metric]
    rows = [_row(pair, predictions, metric, matched.pairs) for pair in pairs]
    means, settings = means_over_seeds(rows), setting_differences(first, second)
    only = [[_alone(found, headline) for found in runs] for runs in (matched.only_first, matched.only_second)]
    machines = next((note for pair in matched.pairs if (note := other_machine(pair.first, pair.second))), "")
    num_examples, left_out = len(predictions[pairs[0].first.run_id][1]), [*matched.left_out, *silent]
    log.info(f"A: {first.name} ({first.run_id})\nB: {second.name} ({second.run_id})")
    log.info(f"\n{text_table(table_of_sweeps(headline, rows, means, (only[0], only[1])))}")
    log.info(f"\n{num_examples} examples, {pairs[0].first.tags['dq.metric_signature']}")
    for run in left_out:
        log.info(f"left out: {run.name} ({run.run_id}), {run.reason}")
    if machines:
        log.info(machines)
    log.info(f"\n{text_table(setting_lines(settings, ('A', 'B')))}" if settings else "\nno setting differs")
    return {
        "kind": "sweeps",
        "num_examples": num_examples,
        "headline": headline,
        "teachers": next((asdict(row) for row in rows if row.name == TEACHER), None),
        "students": [asdict(row) for row in rows if row.name != TEACHER],
        "means": [asdict(mean) for mean in means],
        "only_first": [asdict(student) for student in only[0]],
        "only_second": [asdict(student) for student in only[1]],
        "left_out": [asdict(run) for run in left_out],
        "machines": machines,
        "settings": settings,
    }


def _teachers(tracker: Tracker, first: FoundRun, second: FoundRun) -> list[Pair]:
    """The sweeps' teachers as a pair, where the runs of both are still there."""
    mine, theirs = (tracker.teacher_of(found) for found in (first, second))
    return [] if mine is None or theirs is None else [Pair(name=TEACHER, group=TEACHER, first=mine, second=theirs)]


def _with_predictions(tracker: Tracker, pairs: list[Pair]) -> tuple[list[Pair], dict[str, Predictions], list[LeftOut]]:
    """The pairs of which both runs have predictions, what each run says, and the runs that say nothing."""
    runs = {found.run_id: found for pair in pairs for found in (pair.first, pair.second)}
    read = {run_id: predictions_of(tracker, found) for run_id, found in runs.items()}
    predictions = {run_id: texts for run_id, texts in read.items() if texts is not None}
    silent = [
        LeftOut(name=found.name, run_id=run_id, reason=f"no {PREDICTIONS}")
        for run_id, found in runs.items()
        if run_id not in predictions
    ]
    return [pair for pair in pairs if {pair.first.run_id, pair.second.run_id} <= set(predictions)], predictions, silent


def _row(pair: Pair, predictions: dict[str, Predictions], metric: str, students: list[Pair]) -> Row:
    """One line of the table; the teachers' size and times are those taken beside the first of the students."""
    beside = students[0] if pair.name == TEACHER and students else pair
    results = compare_predictions(pair.first, predictions[pair.first.run_id], predictions[pair.second.run_id])
    return Row(
        name=pair.name,
        group=pair.group,
        runs=(pair.first.run_id, pair.second.run_id),
        headline=next(result for result in results if result.name == HEADLINES[metric]),
        results=results,
        measures=(measures(pair.first, beside.first), measures(pair.second, beside.second)),
    )


def _alone(found: FoundRun, headline: str) -> Alone:
    score = found.metrics.get(f"{found.tags.get('dq.split')}_{headline}")
    return Alone(name=found.name, run_id=found.run_id, score=score, measures=measures(found, found))
