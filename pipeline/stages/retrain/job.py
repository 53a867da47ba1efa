"""The job `retrain`: a night under its lease, its line in the ledger, aliases, page, run and whoever is told."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline.config.errors import UserError
from pipeline.config.ignored import say_ignored
from pipeline.config.jobs.retrain import RetrainJob
from pipeline.config.keys import config_hash
from pipeline.config.load import to_yaml
from pipeline.config.masking import masked
from pipeline.console import gauges
from pipeline.console.tables import markdown_table, text_table
from pipeline.retraining.decisions import Decision, ending_of
from pipeline.retraining.gates import staleness
from pipeline.stages.retrain.drift import METRICS, TITLE
from pipeline.stages.retrain.ledger import FILE, NIGHT, Ledger, Line, as_document
from pipeline.stages.retrain.night import Night, work_through
from pipeline.stages.retrain.notify import notify
from pipeline.stages.retrain.outcome import Outcome
from pipeline.stages.retrain.page import ledger_table, write_page
from pipeline.stages.retrain.precheck import check_night
from pipeline.stages.retrain.promote import promote, roll_back
from pipeline.stages.retrain.settings import ignored, settings_key
from pipeline.stages.retrain.tidy import tidy
from pipeline.stages.retrain.verdict import days_since
from pipeline.stages.runs import common_tags, open_tracker, start_run, tracking_uri
from pipeline.storage.disk import disk_trouble
from pipeline.storage.layout import open_storage
from pipeline.storage.lease import HeldElsewhereError, lease
from pipeline.tracking.store import check_reachable
from pipeline.tracking.tracker import RunSpec, Tracker

# What is wrong in a program is wrong again tomorrow.
FAULTS = (TypeError, KeyError, IndexError, AttributeError, NameError, AssertionError, ZeroDivisionError, RecursionError)

log = logging.getLogger(__name__)


def run(config: RetrainJob) -> dict[str, Any]:
    """Work through one night, or roll back.

    Returns:
        the document printed by the job: decision, reasons, exit code, versions, where ledger and page are.

    Raises:
        UserError: settings that no night can have, or a ledger that was changed.
    """
    check_night(config)
    say_ignored(config, ignored(config))
    storage = open_storage(config.storage.path)
    folder = storage.root / "retrain" / config.retrain.name
    try:
        with lease(folder, f"retraining {config.retrain.name}"):
            ledger = Ledger(folder)
            if config.retrain.rollback:
                return _rolled_back(config, folder, ledger)
            return _night(config, folder, ledger)
    except HeldElsewhereError as held:  # two schedulers, or a tick while the last night still runs
        reason = f"another process works on this night: {held}"
        if config.retrain.rollback:  # which nobody else does
            return _document(Outcome(decision=Decision.FAILED, reasons=[reason], is_retriable=True), folder)
        return _document(Outcome(decision=Decision.NO_CHANGE, reasons=[reason]), folder)


def _rolled_back(config: RetrainJob, folder: Path, ledger: Ledger) -> dict[str, Any]:
    try:
        line = roll_back(config, _tracker(config), ledger)
    except ConnectionError as error:
        return _told(config, folder, ledger, None, failed(error, {}))
    outcome = Outcome(decision=Decision[line.decision], reasons=line.reasons, frozen=line.frozen, version=line.version)
    return _told(config, folder, ledger, line, outcome)


def _night(config: RetrainJob, folder: Path, ledger: Ledger) -> dict[str, Any]:
    known: dict[str, Any] = {}
    try:
        tracker = _tracker(config)
        if (unfinished := ledger.unfinished) is not None:
            log.warning(f"the promotion of line {unfinished.number} was interrupted: it is carried out now")
            carried_out = promote(config, tracker, ledger, unfinished)
            if carried_out.decision == Decision.FAILED.name:
                return _told(config, folder, ledger, carried_out, _failed_promotion(carried_out))
        storage = open_storage(config.storage.path)
        night = Night(config=config, storage=storage, folder=folder, ledger=ledger, tracker=tracker, note=known.update)
        outcome = work_through(night)
    except Exception as error:
        outcome = failed(error, known)
    line: Line | None = None
    try:
        line = ledger.append(_line(config, outcome))
        if outcome.decision is Decision.PROMOTED:
            line, outcome = _promoted(config, ledger, line, outcome)
    except OSError as error:  # such as a full disk: what is not written down is not done
        outcome = failed(error, known)
    told = _told(config, folder, ledger, line, outcome)
    _tidied(config, folder, ledger)  # last: it may take long, and be interrupted
    return told


def _tidied(config: RetrainJob, folder: Path, ledger: Ledger) -> None:
    """Free what old nights take; where that fails it is told, and the night after tries again."""
    try:
        tidy(open_storage(config.storage.path), folder, ledger, _tracker(config), config.retrain.keep_nights)
    except Exception as error:
        log.warning(f"old nights were not tidied: {masked(f'{type(error).__name__}: {error}')}")


def _promoted(config: RetrainJob, ledger: Ledger, line: Line, outcome: Outcome) -> tuple[Line, Outcome]:
    """Carry out a decision that is written down; where that fails the line stands, and whoever comes next does it."""
    try:
        carried_out = promote(config, _tracker(config), ledger, line)
    except Exception as error:
        reason = f"version {line.version} was not made the champion yet: {masked(str(error))}"
        log.error(reason, exc_info=error if isinstance(error, FAULTS) else None)
        return line, replace(outcome, decision=Decision.FAILED, reasons=[reason], is_retriable=True)
    if carried_out.decision == Decision.FAILED.name:
        return carried_out, replace(_failed_promotion(carried_out), tables=outcome.tables)
    return carried_out, outcome


def _failed_promotion(line: Line) -> Outcome:
    told: dict[str, Any] = {"data": line.data, "frozen": line.frozen, "version": line.version}
    return Outcome(decision=Decision.FAILED, reasons=line.reasons, **told)


def _tracker(config: RetrainJob) -> Tracker:
    """The tracker of a store that answers.

    Raises:
        ConnectionError: it does not; nobody can mend that in the settings.
    """
    try:
        check_reachable(tracking_uri(config))
    except UserError as error:
        raise ConnectionError(str(error)) from error
    return open_tracker(config)


def failed(error: Exception, known: dict[str, Any]) -> Outcome:
    """A night without a decision: what settings lack will be lacking again, as a fault of ours; all else may pass.

    Args:
        error: what ended it.
        known: what was known of the night by then.
    """
    trouble = disk_trouble(error)
    lasts = isinstance(error, (UserError, *FAULTS)) and trouble is None and not isinstance(error, HeldElsewhereError)
    says_enough = trouble is not None or isinstance(error, UserError)
    reason = masked(str(trouble or error) if says_enough else f"{type(error).__name__}: {error}")
    log.error(f"the night failed: {reason}", exc_info=None if says_enough else error)
    return Outcome(decision=Decision.FAILED, reasons=[reason], is_retriable=not lasts, **known)


def _line(config: RetrainJob, outcome: Outcome) -> Line:
    return Line(
        number=0,
        at="",
        event=NIGHT,
        decision=outcome.decision.name,
        reasons=outcome.reasons,
        data=outcome.data,
        settings=settings_key(config),
        frozen=outcome.frozen,
        champion=outcome.champion,
        version=outcome.version,
        details={**outcome.details, "retriable": outcome.is_retriable},
    )


def _told(config: RetrainJob, folder: Path, ledger: Ledger, line: Line | None, outcome: Outcome) -> dict[str, Any]:
    """Page, run and notification of what was decided; none of them changes it."""
    for sentence in outcome.reasons:
        log.info(f"{outcome.decision.name}: {sentence}")
    gauges.show(gauges.NIGHT_TIME, time.time(), night=config.retrain.name, decision=outcome.decision.value)
    alarms = outcome.details.get("alarms") or _stale(config, ledger)
    for sentence in alarms:
        log.warning(sentence)
    page = _page(config, folder, ledger, outcome)
    document = _document(outcome, folder, alarms)
    document |= {
        "champion": None if ledger.crowned is None else ledger.crowned.version,
        "line": None if line is None else as_document(line),
        "report": None if page is None else str(page),
        "run_id": None,
    }
    try:
        document["run_id"] = None if line is None else _recorded(config, folder, page, line, outcome)
    except Exception as error:  # the decision stands, whether the server takes its record or not
        log.warning(f"the night's run was not recorded: {masked(f'{type(error).__name__}: {error}')}")
    notify(config.retrain, document)
    return document


def _document(outcome: Outcome, folder: Path, alarms: Sequence[str] = ()) -> dict[str, Any]:
    """The part of the last line that every call has."""
    ending = ending_of(outcome.decision, is_retriable=outcome.is_retriable)
    return {
        "status": "finished" if outcome.decision is not Decision.FAILED else "failed",
        "decision": outcome.decision.name,
        "reasons": [masked(reason) for reason in outcome.reasons],
        "exit_code": ending.exit_code,
        "alerts": ending.alerts or bool(alarms),
        "alarms": list(alarms),
        "meaning": ending.meaning,
        "ledger": str(folder / FILE),
    }


def _page(config: RetrainJob, folder: Path, ledger: Ledger, outcome: Outcome) -> Path | None:
    """The page; none where it could not be written, which changes no decision."""
    try:
        return write_page(config, folder, ledger, outcome)
    except Exception as error:
        log.warning(f"the page was not written: {masked(str(error))}")
        return None


def _stale(config: RetrainJob, ledger: Ledger) -> list[str]:
    """An alarm where nobody was promoted for long, also of nights that train nothing."""
    crowned = ledger.crowned
    return [] if crowned is None else list(staleness(days_since(crowned.at), config.gates))


def _recorded(config: RetrainJob, folder: Path, page: Path | None, line: Line, outcome: Outcome) -> str | None:
    """The night's run of its own, with ledger, page and numbers."""
    spec = RunSpec(
        name=f"night {line.number} {config.retrain.name}: {outcome.decision.name}",
        key=config_hash(config.retrain.name, line.number, line.at),
        kind="night",
        params={"decision": outcome.decision.name, "event": line.event, "line": line.number},
        config=to_yaml(config),
        tags={**common_tags(config), "dq.decision": outcome.decision.name, "dq.data": line.data},
    )
    with start_run(config, spec) as run:
        numbers = {
            name: float(value)
            for name, value in line.details.items()
            if isinstance(value, (int, float)) and not isinstance(value, bool)
        }
        drift = {f"drift_{name}": value for name, value in (line.details.get(METRICS) or {}).items()}
        run.metrics(numbers | drift, line.number)
        run.artifacts(folder / FILE, "retraining")
        if page is not None:
            run.artifacts(page.parent, "report")
        if (table := outcome.tables.get(TITLE)) is not None:
            header, *rows = [[masked(cell) for cell in row] for row in table]
            run.table(dict(zip(header, map(list, zip(*rows, strict=True)), strict=True)), "report/drift.json")
            log.info(f"\n{text_table(table)}")
        lines = [*outcome.reasons, markdown_table(ledger_table(ledger_lines := Ledger(folder).lines))]
        run.tags({"mlflow.note.content": masked("\n\n".join(lines))})
        log.info(f"\n{text_table(ledger_table(ledger_lines))}\n\nreport: {page}")
        if outcome.decision is Decision.FAILED:
            run.failed(masked("; ".join(outcome.reasons)))
        return run.run_id


def exit_code(document: dict[str, Any]) -> int:
    """What a scheduler gets: see `retraining.decisions`."""
    return int(document["exit_code"])
