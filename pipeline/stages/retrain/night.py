"""One night from new data to a decision. Every step finds what an interrupted night has done of it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipeline.config.errors import UserError
from pipeline.config.jobs.retrain import RetrainJob
from pipeline.config.keys import config_hash
from pipeline.data.corpora import column_of
from pipeline.export.package import default_decoding
from pipeline.retraining.decisions import Decision
from pipeline.retraining.drift import drift_of
from pipeline.retraining.gates import decide
from pipeline.retraining.verdict import Gate, Verdict
from pipeline.serving.promotion import aliases_of
from pipeline.stages.job import open_job
from pipeline.stages.retrain import judge, likelihood
from pipeline.stages.retrain.candidate import Candidate, champion_model, registered_version, train_candidate
from pipeline.stages.retrain.check import Checked, check_night_data, check_table, with_likelihood
from pipeline.stages.retrain.data import (
    Accepted,
    NightData,
    accepted_of,
    keep_accepted,
    pairs_of,
    read_data,
    sweep_of,
    write_night,
)
from pipeline.stages.retrain.evidence import evidence_of, measured_of, parity_of, slices_of
from pipeline.stages.retrain.judge import CANDIDATE, CHAMPION, Answers, Contender, JudgeWork
from pipeline.stages.retrain.ledger import NIGHT, Ledger, details_of
from pipeline.stages.retrain.outcome import Outcome
from pipeline.stages.retrain.settings import settings_key
from pipeline.stages.retrain.tidy import NIGHTS
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


def work_through(night: Night) -> Outcome:
    """Decide whether somebody new becomes the champion; no alias is moved.

    Raises:
        UserError: a candidate could not be made with these settings.
        Exception: whatever training, storage or tracking runs into.
    """
    config, ledger = night.config, night.ledger
    champion = aliases_of(night.tracker, config.retrain.name).champion
    crowned = ledger.crowned
    if crowned is not None and crowned.version != champion:
        log.warning(f"the champion is version {champion}, and by the ledger {crowned.version}: moved by hand")
    night.note(champion=champion)
    settled = ledger.settled
    accepted = _accepted(night)
    try:
        data = read_data(config, night.storage, accepted)
    except UserError as error:
        return Outcome(decision=Decision.REFUSED, reasons=[f"the data cannot be read: {error}"], champion=champion)
    night.note(data=data.fingerprint, frozen=data.frozen_digest)
    common: dict[str, Any] = {"data": data.fingerprint, "frozen": data.frozen_digest, "champion": champion}
    tonight = (data.fingerprint, settings_key(config))
    if settled is not None and not config.retrain.force and (settled.data, settled.settings) == tonight:
        reason = f"data and settings are those of night {settled.number}, which ended as {settled.decision}"
        return Outcome(decision=Decision.NO_CHANGE, reasons=[reason], **common)
    if (moved := _frozen_moved(night, data)) is not None:
        return Outcome(decision=Decision.REFUSED, reasons=[moved], **common)
    checked = check_night_data(data, accepted, config.data_checks)
    tables = {"Data checks": check_table(checked)}
    if checked.refusals:
        return Outcome(decision=Decision.REFUSED, reasons=checked.refusals, tables=tables, **common)
    return _with_candidate(night, data, accepted, checked, common)


def _with_candidate(
    night: Night, data: NightData, accepted: Accepted | None, checked: Checked, common: dict[str, Any]
) -> Outcome:
    """From data that are trusted so far to the verdict."""
    config, champion = night.config, common["champion"]
    key = config_hash(data.fingerprint, settings_key(config), champion)
    folder = night.folder / NIGHTS / key
    teacher = _teacher_of(night.ledger, champion)
    write_night(folder / "data", data, checked.rows)
    sweep = sweep_of(config, (folder / "data").absolute(), teacher)
    if teacher is not None and config.retrain.alignment_examples:
        job, most = open_job(sweep), config.retrain.alignment_examples
        parts = {"new": (data.new or data.train)[:most], "accepted": (accepted.newest if accepted else [])[:most]}
        said = {
            name: likelihood.run(job.config, job.task, Path(teacher), rows, folder / name, night.storage.root / "ray")
            for name, rows in parts.items()
            if rows
        }
        checked = with_likelihood(checked, said["new"], said.get("accepted"), config.data_checks)
    tables = {"Data checks": check_table(checked)}
    if checked.refusals:
        return Outcome(decision=Decision.REFUSED, reasons=checked.refusals, tables=tables, **common)
    keep_accepted(night.folder, data, checked.rows)
    candidate = train_candidate(config, sweep)
    answers = _answers(night, data, candidate, champion, folder)
    outcome = _judged(night, data, candidate, answers, common)
    if accepted is not None:
        outcome.tables["Drift"] = _drift_table(data, accepted, outcome)
    outcome.tables.update(tables)
    return outcome


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
        folder=folder / f"judged-{config_hash(candidate.run_id, champion)}",
    )
    return judge.run(work, night.storage.root / "ray")


def _judged(
    night: Night, data: NightData, candidate: Candidate, answers: dict[str, Answers], common: dict[str, Any]
) -> Outcome:
    """What the gates say; of the first candidate there is only its own quality."""
    config, ledger, gates = night.config, night.ledger, night.config.gates
    packages = {CANDIDATE: candidate.model.package}
    if common["champion"] is not None:
        packages[CHAMPION] = champion_model(config, common["champion"]).package
    measured = {
        name: measured_of(config, data, answers[name], package, default_decoding(package))
        for name, package in packages.items()
        if package is not None
    }
    ours = measured[CANDIDATE]
    score = sum(ours.frozen_scores) / len(ours.frozen_scores)
    compares = CHAMPION in measured
    if compares:
        crowned, its_night = ledger.crowned, ledger.night_of(common["champion"])
        same_set = its_night is not None and its_night.frozen == data.frozen_digest
        evidence = evidence_of(
            data,
            measured,
            answers,
            slices=slices_of(data.frozen, _slice_column(config), has_labels=data.has_labels),
            num_frozen_uses=ledger.num_frozen_uses(data.frozen_digest),
            recorded_score=details_of(its_night, "score") if same_set else None,
            days_since_promotion=None if crowned is None else days_since(crowned.at),
        )
        verdict = decide(evidence, gates)
    else:
        verdict = _first(score, gates.min_quality, parity_of(answers[CANDIDATE]), gates.min_parity)
    version = None
    if verdict.decision is Decision.PROMOTED:
        version = registered_version(night.tracker, config, candidate, score, ours.size_bytes, data.frozen_digest)
    details = {
        "compared": compares,
        "score": score,
        "newest": _mean(ours.newest_scores),
        "champion_score": _mean(measured[CHAMPION].frozen_scores) if compares else None,
        "champion_newest": _mean(measured[CHAMPION].newest_scores) if compares else None,
        "metric": ours.metric,
        "bytes": ours.size_bytes,
        "gates": [asdict(gate) for gate in verdict.gates],
        "alarms": list(verdict.alarms),
        "student": candidate.name,
        "student_run": candidate.run_id,
        "sweep": candidate.sweep,
        "teacher": candidate.teacher,
        "golden": [
            {name: row[name] for name in ("source", "second") if row.get(name) is not None}
            for row in data.frozen[: config.retrain.probe_examples]
        ],
    }
    reasons = list(verdict.reasons) or ["every gate was passed" if compares else "there was no champion yet"]
    return Outcome(
        decision=verdict.decision,
        reasons=reasons,
        version=version,
        details=details,
        tables={"Gates": gate_table(verdict.gates)},
        **common,
    )


def _first(score: float, min_quality: float, parity: float | None, min_parity: float) -> Verdict:
    """Of a candidate that has nobody beside it."""
    found = [
        Gate(
            name="quality",
            passed=score >= min_quality,
            measured=score,
            allowed=min_quality,
            sentence=f"Mean score on the frozen set: {score:.4g}; allowed: at least {min_quality:.4g}.",
        )
    ]
    if parity is not None:
        sentence = f"Answers on which graphs and package agree: {parity:.2%}; allowed: at least {min_parity:.2%}."
        passed = parity >= min_parity
        found.append(Gate(name="parity", passed=passed, measured=parity, allowed=min_parity, sentence=sentence))
    decision = Decision.PROMOTED if all(gate.passed for gate in found) else Decision.KEPT
    return Verdict(decision=decision, gates=tuple(found), alarms=())


def gate_table(gates: tuple[Gate, ...]) -> list[list[str]]:
    """Header and a row a gate."""
    return [["gate", "passed", "found"]] + [[one.name, "yes" if one.passed else "NO", one.sentence] for one in gates]


def _drift_table(data: NightData, accepted: Accepted, outcome: Outcome) -> list[list[str]]:
    drift = drift_of(
        pairs_of(data.new or data.train),
        pairs_of([*accepted.rows, *accepted.newest]),
        data.has_labels,
        outcome.details.get("champion_newest"),
        outcome.details.get("champion_score"),
    )
    lines = [["number", "accepted", "new", "change"]]
    for row in drift.rows():
        numbers = [row[name] for name in ("reference", "new", "change")]
        lines.append([str(row["name"]), *("-" if value is None else f"{value:.4g}" for value in numbers)])
    return lines


def _accepted(night: Night) -> Accepted | None:
    """What the newest night that trained had."""
    trained = night.ledger.last(NIGHT, decisions=[Decision.PROMOTED, Decision.KEPT])
    return None if trained is None else accepted_of(night.folder, trained.data)


def _frozen_moved(night: Night, data: NightData) -> str | None:
    """Why the test split is not the frozen set of the nights before; none: it is, or it may be another one."""
    lines = reversed(night.ledger.lines)
    settled = next((one for one in lines if one.event == NIGHT and details_of(one, "score") is not None), None)
    if settled is None or settled.frozen == data.frozen_digest or night.config.retrain.new_frozen_set:
        return None
    return (
        "the test split is not the frozen set of the nights before: put the file back, or say new_frozen_set=true, and "
        "this one is the frozen set from now on"
    )


def _teacher_of(ledger: Ledger, champion: str | None) -> str | None:
    """The folder of the champion's teacher; none where there is none any more."""
    found = details_of(None if champion is None else ledger.night_of(champion), "teacher")
    if found is None:
        return None
    if not Path(found).is_dir():
        log.warning(f"the champion's teacher is not there any more ({found}): the model that is configured is taken")
        return None
    return str(found)


def _slice_column(config: RetrainJob) -> list[str] | None:
    if config.retrain.slice_column is None:
        return None
    return column_of(config.task, config.data, "test", config.retrain.slice_column)


def days_since(at: str) -> float:
    """Days since a time that a ledger's line has."""
    return (datetime.now(UTC) - datetime.fromisoformat(at)).total_seconds() / 86400


def _mean(scores: tuple[float, ...]) -> float | None:
    return sum(scores) / len(scores) if scores else None
