"""Moving the aliases after a decision was written down, asking the registered version, moving them back if it fails."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from pipeline.config.errors import UserError
from pipeline.config.jobs.retrain import RetrainJob
from pipeline.export.answer import Answerer
from pipeline.retraining.decisions import Decision
from pipeline.runtime.answer import OnnxAnswerer
from pipeline.serving.probe import Golden, probe
from pipeline.serving.promotion import Aliases, aliases_of, check_version, point
from pipeline.serving.served_model import TEXT, TEXT_PAIR
from pipeline.stages.retrain.candidate import champion_model
from pipeline.stages.retrain.data import Row
from pipeline.stages.retrain.ledger import PROMOTION, ROLLBACK, Ledger, Line, details_of
from pipeline.stages.runs import tracking_uri
from pipeline.stages.use.find_student import FoundModel
from pipeline.tracking.tracker import Tracker

log = logging.getLogger(__name__)


def promote(config: RetrainJob, tracker: Tracker, ledger: Ledger, night: Line) -> Line:
    """Carry out what a line of the ledger has decided; once more where that broke off.

    Args:
        config: the job.
        tracker: of the store with the registered model.
        ledger: with the night's line in it.
        night: that line; its candidate has a version.

    Returns:
        the line that says what became of it.
    """
    assert night.version is not None, "a candidate is registered before it is promoted"
    wanted = Aliases(champion=night.version, previous=night.champion)
    failure = _moved(config, tracker, wanted, rows=details_of(night, "golden") or [])
    if failure is not None:
        before = _champion_before(ledger, night)
        point(tracker, config.retrain.name, Aliases(champion=night.champion, previous=before))
        failure = f"version {night.version} was put back: {failure}"
        log.error(failure)
    return ledger.append(
        Line(
            number=0,
            at="",
            event=PROMOTION,
            decision=(Decision.FAILED if failure else Decision.PROMOTED).name,
            reasons=[failure or f"version {night.version} is the champion, and answers as its package does"],
            data=night.data,
            settings=night.settings,
            frozen=night.frozen,
            champion=night.champion,
            version=night.version,
            details={**night.details, "night": night.number},
        )
    )


def roll_back(config: RetrainJob, tracker: Tracker, ledger: Ledger) -> Line:
    """Make an earlier version the champion again.

    Returns:
        the ledger's line of it.

    Raises:
        UserError: there is no champion, no version before it, or no such version.
    """
    name, now = config.retrain.name, aliases_of(tracker, config.retrain.name)
    if now.champion is None:
        raise UserError(f"{name} has no champion", "a model that a night has promoted", "set retrain.name")
    to = config.retrain.to or now.previous
    if to is None:
        raise UserError(f"there is no version before {now.champion} of {name}", "to=VERSION", "add to=VERSION")
    if to == now.champion:
        raise UserError(f"version {to} of {name} is the champion already", "another version", "add to=VERSION")
    check_version(tracker, name, to)
    night = ledger.night_of(to)
    failure = _moved(
        config, tracker, Aliases(champion=to, previous=now.champion), rows=details_of(night, "golden") or []
    )
    if failure is not None:
        point(tracker, name, now)
        failure = f"version {to} was put back: {failure}"
        log.error(failure)
    return ledger.append(
        Line(
            number=0,
            at="",
            event=ROLLBACK,
            decision=(Decision.FAILED if failure else Decision.PROMOTED).name,
            reasons=[failure or f"by hand: version {to} is the champion again, {now.champion} is the one before"],
            frozen="" if night is None else night.frozen,
            champion=now.champion,
            version=to,
            details={} if night is None else dict(night.details),
        )
    )


def golden_of(model_answers: Answerer | OnnxAnswerer, rows: Sequence[Row]) -> Golden:
    """What a package or its graphs answer, as a request asks for it."""
    second = [row["second"] for row in rows] if rows and rows[0].get("second") is not None else None
    answers = model_answers.answers([row["source"] for row in rows], second)
    asked = [{TEXT: row["source"], **({} if second is None else {TEXT_PAIR: row["second"]})} for row in rows]
    return Golden(rows=asked, answers=answers)


def _moved(config: RetrainJob, tracker: Tracker, wanted: Aliases, rows: Sequence[Row]) -> str | None:
    """Move both aliases, read them back, ask the version that is the champion now; why that failed, if it did."""
    name = config.retrain.name
    assert wanted.champion is not None, "somebody is promoted"
    try:
        check_version(tracker, name, wanted.champion)
    except UserError as error:
        return str(error)
    found = point(tracker, name, wanted)
    if found != wanted:
        return f"the registry says champion={found.champion}, previous={found.previous} after they were set"
    try:
        model = champion_model(config, wanted.champion)
    except UserError as error:
        return f"what is registered cannot be read: {error}"
    asked = list(rows)[: config.retrain.probe_examples]
    if not asked:
        log.warning(f"version {wanted.champion} of {name} was not asked anything before it became the champion")
        return None
    golden = golden_of(_answerer(model), asked)
    return probe(name, wanted.champion, golden, tracking_uri(config), config.retrain.probe_seconds)


def _answerer(model: FoundModel) -> Answerer | OnnxAnswerer:
    """What the served model answers from: its graphs where it has some."""
    if model.exported is not None:
        return OnnxAnswerer(model.exported)
    assert model.package is not None, "a student has one of both"
    return Answerer(model.package)


def _champion_before(ledger: Ledger, night: Line) -> str | None:
    """Who was `previous` while the champion of a night was the champion."""
    earlier = [one for one in ledger.lines if one.number < night.number and one.event in (PROMOTION, ROLLBACK)]
    made = [one for one in earlier if one.decision == Decision.PROMOTED.name and one.version == night.champion]
    return made[-1].champion if made else None
