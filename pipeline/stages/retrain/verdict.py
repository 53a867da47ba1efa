"""What the gates say of tonight's candidate; of the first one, which has no champion beside it, its own quality."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from pipeline.config.jobs.retrain import RetrainJob
from pipeline.config.sections.gates import GatesConfig
from pipeline.export.package import default_decoding
from pipeline.retraining.behaviour import Behaviour
from pipeline.retraining.decisions import Decision
from pipeline.retraining.evidence import Measured
from pipeline.retraining.gates import decide
from pipeline.retraining.quality_gates import mean_score
from pipeline.retraining.spending import level_of_a_use, lower_bound
from pipeline.retraining.verdict import Gate, Verdict, at_least, at_most
from pipeline.stages.retrain.candidate import Candidate, champion_model, registered_version
from pipeline.stages.retrain.data import Accepted, NightData
from pipeline.stages.retrain.evidence import evidence_of, measured_of, parity_of
from pipeline.stages.retrain.judge import CANDIDATE, CHAMPION, Answers
from pipeline.stages.retrain.ledger import Ledger, details_of
from pipeline.stages.retrain.outcome import Outcome
from pipeline.stages.retrain.waiting import TITLE, waiting_note, waiting_table
from pipeline.tracking.tracker import Tracker

log = logging.getLogger(__name__)

MOST_EMPTIES, MOST_LOOPS = 0.2, 0.2  # of a first champion, which has nobody to be compared with


@dataclass(frozen=True, kw_only=True)
class Tonight:
    """What is known of a night whose data are trusted.

    Args:
        data: its examples.
        accepted: what the last accepted night had.
        slices: parts of the frozen set.
        common: fingerprint of the data, digest of the frozen set, champion: what every outcome says.
    """

    data: NightData
    accepted: Accepted | None
    slices: dict[str, tuple[int, ...]]
    common: dict[str, Any]


def judged(
    config: RetrainJob,
    ledger: Ledger,
    tracker: Tracker,
    tonight: Tonight,
    candidate: Candidate,
    answers: Mapping[str, Answers],
) -> Outcome:
    """Measure both sides and decide.

    Args:
        config: the job.
        ledger: as it stands.
        tracker: where a candidate that is promoted is registered.
        tonight: the data.
        candidate: trained on them.
        answers: of both.
    """
    data, common = tonight.data, tonight.common
    packages = {CANDIDATE: candidate.model.package}
    if common["champion"] is not None:
        packages[CHAMPION] = champion_model(config, common["champion"]).package
    measured = {
        name: measured_of(config, data, answers[name], package, default_decoding(package))
        for name, package in packages.items()
        if package is not None
    }
    verdict = _verdict(config, ledger, tonight, measured, answers)
    details, version = _details(config, tonight, candidate, measured, verdict), None
    if verdict.decision is Decision.PROMOTED:
        size_bytes = measured[CANDIDATE].size_bytes
        version = registered_version(tracker, config, candidate, details["score"], size_bytes, data.frozen_digest)
    tables = {"Gates": gate_table(verdict.gates)}
    if CHAMPION in measured:
        table = waiting_table(measured[CANDIDATE], measured[CHAMPION], config.gates, config.seed)
        if table is not None:
            tables[TITLE] = table
            log.info(waiting_note(table))
    passed = "every gate was passed" if CHAMPION in measured else "there was no champion yet"
    return Outcome(
        decision=verdict.decision,
        reasons=list(verdict.reasons) or [passed],
        version=version,
        details=details,
        tables=tables,
        **common,
    )


def _verdict(
    config: RetrainJob,
    ledger: Ledger,
    tonight: Tonight,
    measured: Mapping[str, Measured],
    answers: Mapping[str, Answers],
) -> Verdict:
    """Of a candidate beside the champion, or of the first one."""
    data, ours = tonight.data, measured[CANDIDATE]
    if CHAMPION not in measured:
        return _first(mean_score(ours.frozen_scores), ours.behaviour, config.gates, parity_of(answers[CANDIDATE]))
    crowned, its_night = ledger.crowned, ledger.night_of(tonight.common["champion"])
    same_set = its_night is not None and its_night.frozen == data.frozen_digest
    evidence = evidence_of(
        data,
        measured,
        answers,
        slices=tonight.slices,
        num_frozen_uses=ledger.num_frozen_uses(data.frozen_digest),
        recorded_score=details_of(its_night, "score") if same_set else None,
        days_since_promotion=None if crowned is None else days_since(crowned.at),
    )
    return decide(evidence, config.gates)


def _details(
    config: RetrainJob, tonight: Tonight, candidate: Candidate, measured: Mapping[str, Measured], verdict: Verdict
) -> dict[str, Any]:
    """What the ledger remembers of a candidate: numbers of both sides, where it comes from, what it must answer."""
    ours, theirs = measured[CANDIDATE], measured.get(CHAMPION)
    return {
        "compared": theirs is not None,
        "score": mean_score(ours.frozen_scores),
        "newest": _mean(ours.newest_scores),
        "champion_score": None if theirs is None else _mean(theirs.frozen_scores),
        "champion_newest": None if theirs is None else _mean(theirs.newest_scores),
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
            for row in tonight.data.frozen[: config.retrain.probe_examples]
        ],
    }


def _first(score: float, behaviour: Behaviour | None, gates: GatesConfig, parity: float | None) -> Verdict:
    """Of a candidate that has nobody beside it: its quality, and whether it says anything at all."""
    found = [at_least("minimum_quality", "Mean score on the frozen set", score, gates.min_quality, " %")]
    if behaviour is not None:
        found.append(at_most("empties", "Share of empty answers", behaviour.empties, MOST_EMPTIES))
        found.append(at_most("repetition", "Share of answers in loops", behaviour.repetition, MOST_LOOPS))
    if parity is not None:
        found.append(at_least("parity", "Share of answers of the graphs as the package's", parity, gates.min_parity))
    alarms = [] if gates.min_quality > 0 else ["The first champion was held to no quality: set gates.min_quality."]
    decision = Decision.PROMOTED if all(gate.passed for gate in found) else Decision.KEPT
    return Verdict(decision=decision, gates=tuple(found), alarms=tuple(alarms))


def gate_table(gates: tuple[Gate, ...]) -> list[list[str]]:
    """Header and a row a gate."""
    return [["gate", "passed", "found"]] + [[one.name, "yes" if one.passed else "NO", one.sentence] for one in gates]


def hopeless(config: RetrainJob, num_frozen: int) -> list[str]:
    """An alarm where the frozen set is so small that a candidate which is just as good cannot pass."""
    level = level_of_a_use(config.gates.false_promotion_rate, config.gates.frozen_uses)
    bound = float(lower_bound(np.zeros(num_frozen), level))
    if bound >= -config.gates.margin:
        return []
    return [
        f"With {num_frozen} frozen examples a candidate that answers as the champion does has a lower bound of "
        f"{bound:.2f} points, and gates.margin allows -{config.gates.margin:g}: take more examples, a wider margin or "
        "fewer gates.frozen_uses."
    ]


def days_since(at: str) -> float:
    """Days since a time that a ledger's line has."""
    return (datetime.now(UTC) - datetime.fromisoformat(at)).total_seconds() / 86400


def _mean(scores: tuple[float, ...]) -> float | None:
    return mean_score(scores) if scores else None
