"""Moving the aliases after a decision was written down, asking the registered version, moving them back if it fails."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

from pipeline.config.errors import UserError, sentence_of
from pipeline.config.jobs.retrain import RetrainJob
from pipeline.export.answer import Answerer
from pipeline.retraining.decisions import Decision
from pipeline.runtime.answer import OnnxAnswerer
from pipeline.serving.probe import Golden, probe
from pipeline.serving.promotion import Aliases, aliases_of, check_version, point
from pipeline.serving.served_model import TEXT, TEXT_PAIR
from pipeline.stages.retrain.candidate import champion_model
from pipeline.stages.retrain.data import Row
from pipeline.stages.retrain.ledger import DECIDED, PROMOTION, ROLLBACK, Ledger, Line, details_of
from pipeline.stages.runs import tracking_uri
from pipeline.stages.use.find_student import FoundModel
from pipeline.tracking.tracker import Tracker

BY_HAND = "by_hand"  # in the details of a rollback and of what became of it

log = logging.getLogger(__name__)


def promote(config: RetrainJob, tracker: Tracker, ledger: Ledger, decided: Line) -> Line:
    """Carry out what a line of the ledger has decided; once more where that broke off.

    Args:
        config: the job.
        tracker: of the store with the registered model.
        ledger: with that line in it.
        decided: a night's or a rollback's; its version is registered.

    Returns:
        the line that says what became of it.
    """
    assert decided.version is not None, "a candidate is registered before it is promoted"
    wanted = Aliases(champion=decided.version, previous=_there(tracker, config, decided.champion))
    rows = details_of(ledger.night_of(decided.version), "golden") or []
    failure = _moved(config, tracker, wanted, rows)
    if failure is not None:
        before = Aliases(champion=wanted.previous, previous=_there(tracker, config, _before(ledger, decided)))
        point(tracker, config.retrain.name, before)
        failure = f"version {decided.version} was put back: {failure}"
        log.error(failure)
    return ledger.append(
        replace(
            decided,
            event=PROMOTION,
            decision=(Decision.FAILED if failure else Decision.PROMOTED).name,
            reasons=[failure or f"version {decided.version} is the champion, and answers as its package does"],
            details={**decided.details, DECIDED: decided.number},
        )
    )


def roll_back(config: RetrainJob, tracker: Tracker, ledger: Ledger) -> Line:
    """Make an earlier version the champion again.

    Returns:
        the ledger's line of what became of it.

    Raises:
        UserError: there is no champion, no version before it, or no such version.
    """
    name, now = config.retrain.name, aliases_of(tracker, config.retrain.name)
    to = config.retrain.to or now.previous
    if to is None:
        given = f"no version before {now.champion} of {name}" if now.champion else f"{name} has no champion"
        raise UserError(given, "to=VERSION of a version that is there", "add to=VERSION, or set retrain.name")
    last = ledger.lines[-1] if ledger.lines else None
    if config.retrain.to is None and last is not None and details_of(last, BY_HAND):
        raise UserError(
            f"a rollback after a rollback, which has made {last.version} the champion: its retry, or the way forth?",
            "to=VERSION",
            f"add to={to} if you want that",
        )
    if to == now.champion:
        raise UserError(f"version {to} of {name} is the champion already", "another version", "add to=VERSION")
    check_version(tracker, name, to)
    night = ledger.night_of(to)
    decided = ledger.append(
        Line(
            number=0,
            at="",
            event=ROLLBACK,
            decision=Decision.PROMOTED.name,
            reasons=[f"by hand: version {to} shall be the champion again, instead of {now.champion}"],
            frozen="" if night is None else night.frozen,
            champion=now.champion,
            version=to,
            details={BY_HAND: True, "score": details_of(night, "score")},
        )
    )
    return promote(config, tracker, ledger, decided)


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
    asked = list(rows)[: config.retrain.probe_examples]
    if not asked:
        log.warning(f"version {wanted.champion} of {name} was not asked anything before it became the champion")
        return None
    try:
        golden = golden_of(_answerer(champion_model(config, wanted.champion)), asked)
        retrain, uri = config.retrain, tracking_uri(config)
        return probe(name, wanted.champion, golden, uri, retrain.probe_seconds, retrain.probe_environment)
    except Exception as error:  # whatever a package, its graphs or a server's answer run into
        return f"it cannot be used: {type(error).__name__}: {sentence_of(error)}"


def _there(tracker: Tracker, config: RetrainJob, version: str | None) -> str | None:
    """A version that an alias may name; none, with a warning, where somebody has deleted it."""
    if version is None:
        return None
    try:
        check_version(tracker, config.retrain.name, version)
    except UserError as error:
        log.warning(f"there is no way back to version {version}: {error}")
        return None
    return version


def _answerer(model: FoundModel) -> Answerer | OnnxAnswerer:
    """What the served model answers from: its graphs where it has some."""
    if model.exported is not None:
        return OnnxAnswerer(model.exported)
    assert model.package is not None, "a student has one of both"
    return Answerer(model.package)


def _before(ledger: Ledger, decided: Line) -> str | None:
    """Who was `previous` while the champion of a decision was the champion."""
    earlier = [one for one in ledger.lines if one.number < decided.number and one.event == PROMOTION]
    made = [one for one in earlier if one.decision == Decision.PROMOTED.name and one.version == decided.champion]
    return made[-1].champion if made else None
