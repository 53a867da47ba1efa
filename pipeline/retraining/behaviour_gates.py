"""Gates of outputs: how they look beside those of the champion, whether labels and graphs agree."""

from __future__ import annotations

import math

from pipeline.config.sections.gates import GatesConfig
from pipeline.retraining.behaviour import Behaviour
from pipeline.retraining.evidence import Evidence
from pipeline.retraining.verdict import Gate, at_least, at_most, not_asked

TEXT_GATES = ("length", "repetition", "copies", "numbers", "empties")


def behaviour_gates(candidate: Behaviour | None, champion: Behaviour | None, gates: GatesConfig) -> list[Gate]:
    """How outputs look beside those of the champion.

    Args:
        candidate: none: it gives labels.
        champion: the same.
        gates: what is allowed.
    """
    if candidate is None and champion is None:
        return [not_asked(name, "the models give labels") for name in TEXT_GATES]
    if candidate is None or champion is None:
        side = "candidate" if candidate is None else "champion"
        return [at_most(name, f"Behaviour, of the {side} unknown", None, None) for name in TEXT_GATES]
    rises = [
        at_most(name, f"Rise of the share of outputs {what}", _rise(*shares), allowed)
        for name, what, shares, allowed in (
            ("repetition", "in loops", (candidate.repetition, champion.repetition), gates.max_repetition_rise),
            ("copies", "that are their source", (candidate.copies, champion.copies), gates.max_copies_rise),
            ("empties", "without content", (candidate.empties, champion.empties), gates.max_empties_rise),
        )
    ]
    numbers = _numbers(candidate.numbers, champion.numbers, gates.max_numbers_fall)
    return [
        _length(candidate.length_ratio, champion.length_ratio, gates.max_length_change),
        *rises[:2],
        numbers,
        rises[2],
    ]


def agreement_gates(evidence: Evidence, gates: GatesConfig) -> list[Gate]:
    """Labels beside the champion's, graphs beside the package.

    Args:
        evidence: what was measured.
        gates: what is allowed.
    """
    flips, parity = evidence.label_flips, evidence.parity
    return [
        not_asked("label_flips", "the models give texts")
        if flips is None and evidence.candidate.behaviour is not None
        else at_most("label_flips", "Share of examples with another label", _share(flips), gates.max_label_flips),
        not_asked("parity", "there are no exported graphs")
        if parity is None
        else at_least("parity", "Share of answers of the graphs as the package's", _share(parity), gates.min_parity),
    ]


def _length(candidate: float | None, champion: float | None, allowed: float) -> Gate:
    if candidate is None and champion is None:
        return not_asked("length", "all references are empty")
    change = abs(_ratio(candidate) - _ratio(champion))
    return at_most("length", "Change of the mean ratio of lengths of outputs and references", change, allowed)


def _numbers(candidate: float | None, champion: float | None, allowed: float) -> Gate:
    if candidate is None and champion is None:
        return not_asked("numbers", "sources have no numbers")
    fall = _rise(champion, candidate)
    return at_most("numbers", "Fall of the share of numbers in sources that outputs have, too", fall, allowed)


def _rise(share: float | None, before: float | None) -> float:
    """Nan where one of both is no share."""
    return _share(share) - _share(before)


def _share(value: float | None) -> float:
    return value if value is not None and 0 <= value <= 1 else math.nan


def _ratio(value: float | None) -> float:
    return value if value is not None and value >= 0 else math.nan
