"""One night from new data to a decision. Every step finds what an interrupted night has done of it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipeline.config.errors import UserError
from pipeline.config.jobs.retrain import RetrainJob
from pipeline.config.keys import config_hash
from pipeline.data.corpora import column_of
from pipeline.retraining.decisions import Decision
from pipeline.retraining.drift import DriftReport
from pipeline.serving.promotion import aliases_of
from pipeline.stages.job import open_job
from pipeline.stages.retrain import judge, likelihood
from pipeline.stages.retrain.candidate import Candidate, champion_model, train_candidate
from pipeline.stages.retrain.check import Checked, check_night_data, check_table, with_likelihood
from pipeline.stages.retrain.data import (
    NightData,
    Row,
    frozen_digest,
    keep_accepted,
    part_data,
    read_corpus,
    sweep_of,
    write_night,
)
from pipeline.stages.retrain.drift import (
    METRICS,
    QUALITY,
    TITLE,
    Quality,
    champion_quality,
    drift_table,
    drift_tonight,
    with_drift,
)
from pipeline.stages.retrain.earlier import accepted_before, check_champion, frozen_moved, teacher_of
from pipeline.stages.retrain.evidence import slices_of
from pipeline.stages.retrain.judge import CANDIDATE, CHAMPION, Answers, Contender, JudgeWork
from pipeline.stages.retrain.ledger import Ledger, details_of
from pipeline.stages.retrain.outcome import Outcome
from pipeline.stages.retrain.settings import settings_key
from pipeline.stages.retrain.sources import Sources, while_read, with_sources
from pipeline.stages.retrain.students import FROM, students_tonight
from pipeline.stages.retrain.tidy import NIGHTS
from pipeline.stages.retrain.verdict import Tonight, hopeless, judged
from pipeline.storage.layout import Storage
from pipeline.tracking.tracker import Tracker

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Night:
    """What every step needs.

    Args:
        config: the job.
        storage: its folders.
        folder: of all nights of this name: ledger, accepted data, nights.
        ledger: as it stands.
        tracker: of runs and the registered model.
        note: told what is known so far, so that a night that fails can say it.
    """

    config: RetrainJob
    storage: Storage
    folder: Path
    ledger: Ledger
    tracker: Tracker
    note: Callable[..., None]

    def folder_of(self, tonight: Tonight) -> Path:
        """Where a night of these data, settings and champion keeps what it makes."""
        data, champion = tonight.common["data"], tonight.common["champion"]
        return self.folder / NIGHTS / config_hash(data, settings_key(self.config), champion)


def work_through(night: Night) -> Outcome:
    """Decide whether somebody new becomes the champion; no alias is moved.

    Raises:
        UserError: a candidate could not be made with these settings.
        Exception: whatever training, storage or tracking runs into.
    """
    sources = Sources(night.config)
    outcome = _decided(night, sources)
    is_over = outcome.decision is Decision.NO_CHANGE or not outcome.data
    return outcome if is_over else with_sources(outcome, sources)


def _decided(night: Night, sources: Sources) -> Outcome:
    """The same, on the files as they are read now."""
    config, ledger = night.config, night.ledger
    champion = aliases_of(night.tracker, config.retrain.name).champion
    night.note(champion=champion)
    check_champion(ledger, champion, config.retrain.name)
    try:
        corpus = read_corpus(config, night.storage)
        column = _slice_column(config)
    except UserError as error:
        if config.task.corpus.kind == "hub":
            raise ConnectionError(str(error)) from error  # what is wrong with a hub may be right in the morning
        reasons = [f"the data cannot be read: {error}"]
        if torn := sources.changed_while_read():
            reasons.insert(0, while_read(torn))
        return Outcome(decision=Decision.REFUSED, reasons=reasons, champion=champion)
    if torn := sources.changed_while_read():  # of no data: the file may well be whole tomorrow, and the same
        return Outcome(decision=Decision.REFUSED, reasons=[while_read(torn)], champion=champion)
    digest = frozen_digest(corpus)
    night.note(data=corpus.fingerprint, frozen=digest)
    common: dict[str, Any] = {"data": corpus.fingerprint, "frozen": digest, "champion": champion}
    asks_anew = config.retrain.force or config.retrain.new_frozen_set
    settled = None if asks_anew else ledger.settled(corpus.fingerprint, settings_key(config), champion)
    if settled is not None:
        reason = f"data and settings are those of night {settled.number}, which ended as {settled.decision}"
        alarms = [reason] if settled.decision in (Decision.REFUSED.name, Decision.ANOMALOUS.name) else []
        return Outcome(decision=Decision.NO_CHANGE, reasons=[reason], details={"alarms": alarms}, **common)
    accepted = accepted_before(config, ledger, night.folder)
    data = part_data(config, corpus, accepted)
    tonight = Tonight(data=data, accepted=accepted, slices={}, common=common)
    report = drift_tonight(data, accepted)
    night.note(tables={TITLE: drift_table(report)}, details={METRICS: report.metrics()})  # of a night that breaks off
    if (moved := frozen_moved(config, ledger, digest)) is not None:
        return _with_drift(night, tonight, report, Outcome(decision=Decision.REFUSED, reasons=[moved], **common))
    checked = check_night_data(data, accepted, config.data_checks)
    if checked.refusals:
        tables = {"Data checks": check_table(checked)}
        outcome = Outcome(decision=Decision.REFUSED, reasons=checked.refusals, tables=tables, **common)
        return _with_drift(night, tonight, report, outcome, are_texts=checked.are_texts)
    slices = slices_of(data.frozen, column, has_labels=data.has_labels)
    return _with_drift(night, tonight, report, _with_candidate(night, replace(tonight, slices=slices), checked))


def _with_drift(
    night: Night, tonight: Tonight, report: DriftReport, outcome: Outcome, *, are_texts: bool = True
) -> Outcome:
    """The outcome with its report; a champion that was not asked yet is asked about the newest examples alone."""
    champion, score = tonight.common["champion"], outcome.details.get(QUALITY)
    before = details_of(night.ledger.night_of(champion), "newest")
    if score is not None:
        return with_drift(outcome, report, Quality(score=score), before)
    quality = Quality(missing="the data are no texts")
    if are_texts:
        folder = night.folder_of(tonight) / f"drift-{len(night.ledger.lines) + 1}"
        quality = champion_quality(night.config, champion, tonight.data, folder, night.storage.root / "ray")
    return with_drift(outcome, report, quality, before)


def _with_candidate(night: Night, tonight: Tonight, checked: Checked) -> Outcome:
    """From data that are trusted so far to the verdict."""
    config, data, accepted, common = night.config, tonight.data, tonight.accepted, tonight.common
    champion = common["champion"]
    folder = night.folder_of(tonight)
    teacher = teacher_of(night.ledger, champion)
    write_night(folder / "data", data, data.train)
    students = students_tonight(config, night.tracker, champion)
    log.info(students.source)
    sweep = sweep_of(replace(config, sweep=students.sweep), (folder / "data").absolute(), teacher)
    if teacher is not None and config.retrain.alignment_examples:
        job, most = open_job(sweep), config.retrain.alignment_examples
        parts = {
            "new": _sample(data.new or data.train, most),
            "accepted": _sample(accepted.newest if accepted else [], most),
        }
        said = {
            name: likelihood.run(job.config, job.task, Path(teacher), rows, folder / name, night.storage.root / "ray")
            for name, rows in parts.items()
            if rows
        }
        checked = with_likelihood(checked, said["new"], said.get("accepted"), config.data_checks)
    tables = {"Data checks": check_table(checked)}
    if checked.refusals:
        return Outcome(decision=Decision.REFUSED, reasons=checked.refusals, tables=tables, **common)
    alarms = hopeless(config, len(data.frozen)) if champion is not None else []
    for alarm in alarms:
        log.warning(alarm)
    keep_accepted(night.folder, data, data.train)
    candidate = train_candidate(config, sweep)
    answers = _answers(night, data, candidate, champion, folder)
    outcome = judged(config, night.ledger, night.tracker, tonight, candidate, answers)
    outcome.details["alarms"] += alarms
    outcome.details[FROM] = students.source
    outcome.tables.update(tables)
    return outcome


def _sample(rows: Sequence[Row], most: int) -> list[Row]:
    """So many of all, evenly: what has slipped at the end of a file must be among them."""
    step = max(1, -(-len(rows) // most))
    return list(rows[::step])


def _answers(
    night: Night, data: NightData, candidate: Candidate, champion: str | None, folder: Path
) -> dict[str, Answers]:
    config, models = night.config, {CANDIDATE: candidate.model}
    if champion is not None:
        models[CHAMPION] = champion_model(config, champion)
    contenders = []
    for name, model in models.items():
        if model.package is None:
            raise UserError(f"the {name} has no package", "a student of a sweep", "promote another version")
        contenders.append(Contender(name=name, package=model.package.absolute(), exported=model.exported))
    work = JudgeWork(
        contenders=contenders,
        examples=[*data.frozen, *data.newest],
        num_timed=min(config.retrain.timing_examples, len(data.frozen)),
        num_rounds=config.retrain.timing_rounds,
        num_exported=min(config.retrain.parity_examples, len(data.frozen)),
        evaluation=config.evaluation,
        cluster=config.cluster,
        folder=folder / f"judged-{len(night.ledger.lines) + 1}",  # by the line to come: tonight's answers, no others
    )
    return judge.run(work, night.storage.root / "ray")


def _slice_column(config: RetrainJob) -> list[str] | None:
    if config.retrain.slice_column is None:
        return None
    return column_of(config.task, config.data, "test", config.retrain.slice_column)
