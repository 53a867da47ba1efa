"""How tonight's data differ from those that were accepted last, and what the champion is worth on the newest of them.

Nothing is decided by it, so that a number which cannot be had ends no night: the report says why it is missing. The
frozen set is not looked at: a night that is refused spends nothing of its rate of errors.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipeline.config.errors import UserError, sentence_of
from pipeline.config.jobs.retrain import RetrainJob
from pipeline.config.masking import masked
from pipeline.console.tables import plain_number
from pipeline.evaluation.metrics import headline_each
from pipeline.retraining.drift import DriftReport, drift_of
from pipeline.stages.retrain import judge
from pipeline.stages.retrain.candidate import champion_model
from pipeline.stages.retrain.data import Accepted, NightData, pairs_of, references_of_rows
from pipeline.stages.retrain.judge import CHAMPION, Contender, JudgeWork
from pipeline.stages.retrain.outcome import Outcome

TITLE = "Drift"
METRICS, MISSING, QUALITY = "drift", "drift_missing", "champion_newest"  # in the details of a line
MOST_ASKED = 500  # newest examples, evenly: by one process, on one machine

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Quality:
    """What the champion is worth on the newest data.

    Args:
        score: in the unit of its metric; none: it could not be had.
        missing: why not; empty: it is there.
    """

    score: float | None = None
    missing: str = ""


def drift_tonight(data: NightData, accepted: Accepted | None) -> DriftReport:
    """What is new beside what was accepted; where nothing is new, all of tonight's."""
    reference = None if accepted is None else pairs_of([*accepted.rows, *accepted.newest])
    return drift_of(pairs_of(data.new or data.train), reference, data.has_labels)


def champion_quality(
    config: RetrainJob, champion: str | None, data: NightData, folder: Path, storage_path: Path
) -> Quality:
    """Ask the champion about the newest examples, and about nothing else, in this process: no cluster is waited for.

    Args:
        config: the job.
        champion: its version; none: there is none.
        data: tonight's.
        folder: where its answers are kept.
        storage_path: that all nodes share.
    """
    if champion is None:
        return Quality(missing="there is no champion yet")
    if not data.newest:
        return Quality(missing="nothing was held out to score on")
    try:
        alone = replace(config.cluster, launcher="process", num_workers=1, gpus_per_worker=0)
        examples = data.newest[:: max(1, -(-len(data.newest) // MOST_ASKED))]
        model = champion_model(config, champion)
        if model.package is None:
            raise UserError("the champion has no package", "a student of a sweep", "promote another version")
        contender = Contender(name=CHAMPION, package=model.package.absolute(), exported=None)
        work = JudgeWork(
            contenders=[contender],
            examples=examples,
            num_timed=0,
            num_rounds=0,
            num_exported=0,
            evaluation=config.evaluation,
            cluster=alone,
            folder=folder,
        )
        said = judge.run(work, storage_path)[CHAMPION].said
        task, references = config.task, references_of_rows(examples)
        scores = headline_each(task.metric, said, references, task.metric_tokenizer)
    except Exception as error:  # whatever a registry, a package, a cluster or odd texts run into
        missing = masked(f"{type(error).__name__}: {sentence_of(error)}")
        log.warning(f"the champion was not scored on the newest data: {missing}")
        return Quality(missing=missing)
    return Quality(score=math.fsum(scores) / len(scores))


def with_drift(outcome: Outcome, report: DriftReport, quality: Quality, before: float | None) -> Outcome:
    """A night's outcome with its report: a table for people, metrics for the run, what is missing in the ledger.

    Args:
        outcome: whatever was decided.
        report: without the champion's quality.
        quality: of the champion tonight.
        before: the champion's score on what was the newest when it was promoted.
    """
    report = report.with_quality(quality.score, before)
    details: dict[str, Any] = {METRICS: report.metrics(), QUALITY: quality.score}
    if quality.missing:
        details[MISSING] = f"quality of the champion: {quality.missing}"
    table = drift_table(report, details.get(MISSING, ""))
    return replace(outcome, details={**outcome.details, **details}, tables={**outcome.tables, TITLE: table})


def drift_table(report: DriftReport, missing: str = "") -> list[list[str]]:
    """Header and a row a number; one more that says what could not be had."""
    lines = [["number", "accepted", "new", "change"]]
    for one in report.numbers:
        lines.append([one.name, *map(plain_number, (one.reference, one.new, one.change))])
    return [*lines, *([[f"not measured: {missing}", "-", "-", "-"]] if missing else [])]
