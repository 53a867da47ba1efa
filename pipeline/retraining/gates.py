"""The gates between tonight's candidate and its promotion: numbers in, a decision and all its reasons out."""

from __future__ import annotations

import math
import statistics

import numpy as np

from pipeline.config.sections.gates import GatesConfig
from pipeline.retraining.behaviour_gates import agreement_gates, behaviour_gates
from pipeline.retraining.decisions import Decision
from pipeline.retraining.evidence import Evidence
from pipeline.retraining.quality_gates import PLAUSIBLE, mean_score, quality_gates
from pipeline.retraining.spending import level_of_a_use
from pipeline.retraining.verdict import Gate, Verdict, at_most, not_asked, same


def decide(evidence: Evidence, gates: GatesConfig, level: float | None = None) -> Verdict:
    """Whether the candidate is promoted: it is if all gates pass.

    What both sides did not measure in the same way is not compared. A gain that is too good to be true, or no number,
    is an anomaly whatever the other gates say.

    Args:
        evidence: what was measured.
        gates: what is allowed.
        level: the chance of an error that this use of the frozen set may have; none: an equal share of
            `false_promotion_rate`.

    Raises:
        ValueError: a level that is not between 0 and 1.
    """
    level = level_of_a_use(gates.false_promotion_rate, gates.frozen_uses) if level is None else level
    found = _comparable(evidence)
    decision = Decision.KEPT
    if all(gate.passed for gate in found):
        found += [
            *_conditions(evidence, gates),
            *quality_gates(evidence, gates, level),
            *_costs(evidence, gates),
            *behaviour_gates(evidence.candidate.behaviour, evidence.champion.behaviour, gates),
            *agreement_gates(evidence, gates),
        ]
        if all(gate.passed for gate in found):
            decision = Decision.PROMOTED
        elif any(gate.name == PLAUSIBLE and not gate.passed for gate in found):
            decision = Decision.ANOMALOUS
    return Verdict(decision=decision, gates=tuple(found), alarms=_alarms(evidence, gates))


def _comparable(evidence: Evidence) -> list[Gate]:
    """Whether both sides measured the same thing."""
    candidate, champion = evidence.candidate, evidence.champion
    counts = [
        f"{side.num_examples} asked, {len(side.frozen_scores)} frozen and {len(side.newest_scores)} newest scores"
        for side in (candidate, champion)
    ]
    is_whole = len(candidate.frozen_scores) + len(candidate.newest_scores) == candidate.num_examples
    examples = same("same_examples", "Examples", *counts)
    if examples.passed and not is_whole:
        sentence = f"Examples: {counts[0]}, on both sides; allowed: a score for each that was asked."
        examples = Gate(name=examples.name, passed=False, measured=counts[0], allowed=None, sentence=sentence)
    return [
        examples,
        same("same_metric", "Metric", candidate.metric, champion.metric),
        same("same_signature", "Signature of the metric", candidate.signature, champion.signature),
        same("same_decoding", "Digest of decoding", candidate.decoding_digest, champion.decoding_digest),
    ]


def _conditions(evidence: Evidence, gates: GatesConfig) -> list[Gate]:
    """Whether the frozen set may still be used, and the environment is the one of the champion's promotion."""
    uses = evidence.num_frozen_uses
    worn = at_most(
        "frozen_set_is_fresh",
        "Uses of the frozen test set with tonight's, after which it is worn out and has to be replaced",
        uses + 1 if uses >= 0 else None,
        gates.frozen_uses,
    )
    if evidence.recorded_score is None:
        return [worn, not_asked("same_environment", "no score of the champion's promotion was written down")]
    drift = abs(mean_score(evidence.champion.frozen_scores) - evidence.recorded_score)
    what = "Distance of the champion's score tonight from that of its promotion; beyond it the environment has changed"
    return [worn, at_most("same_environment", what, drift, gates.drift_tolerance, " points")]


def _costs(evidence: Evidence, gates: GatesConfig) -> list[Gate]:
    """Bytes and milliseconds."""
    candidate, champion = evidence.candidate, evidence.champion
    most = champion.size_bytes * gates.max_bytes_factor if gates.max_bytes is None else gates.max_bytes
    times = (candidate.milliseconds, champion.milliseconds)
    is_sound = len(times[0]) == len(times[1]) > 0 and all(
        math.isfinite(one) and one > 0 for side in times for one in side
    )
    slower = statistics.median(np.subtract(*times).tolist()) if is_sound else None
    size = candidate.size_bytes if candidate.size_bytes > 0 else None
    what = f"Milliseconds an example takes longer, median of {len(times[0])} rounds in turns"
    return [
        at_most("bytes", "Size of the package", size, most, " bytes"),
        at_most("milliseconds", what, slower, gates.max_slowdown_ms, " ms")
        if any(times)
        else not_asked("milliseconds", "nobody was timed"),
    ]


def _alarms(evidence: Evidence, gates: GatesConfig) -> tuple[str, ...]:
    days = evidence.days_since_promotion
    return () if days is None else staleness(days, gates)


def staleness(days: float, gates: GatesConfig) -> tuple[str, ...]:
    """An alarm where the last promotion is too many days ago, also for nights that compare nobody."""
    if days <= gates.staleness_days:
        return ()
    return (f"No promotion for {days:g} days; gates.staleness_days is {gates.staleness_days:g}.",)
