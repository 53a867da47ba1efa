"""Settings of the gates between a candidate of tonight and its promotion."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.config.errors import UserError
from pipeline.config.option import check_relations, option, relation


@dataclass(frozen=True, kw_only=True)
class GatesConfig:
    """What a candidate must hold beside the champion. Points are those of scores in percent, shares from 0 to 1."""

    margin: float = option(
        0.5, "points that the candidate may be worse on the frozen test set", minimum=0.0, maximum=100.0
    )
    min_gain: float = option(
        0.0, "points that it must be better on the newest data, beyond chance", minimum=0.0, maximum=100.0
    )
    slice_margin: float = option(
        3.0, "points that its mean on a slice of the frozen test set may be lower", minimum=0.0, maximum=100.0
    )
    min_quality: float = option(
        0.0,
        "least mean score on the frozen test set, in percent, whatever the champion has",
        minimum=0.0,
        maximum=100.0,
    )
    max_bytes: int | None = option(
        None, "largest package in bytes; none: `max_bytes_factor` of the champion's", minimum=1, maximum=2**53
    )
    max_bytes_factor: float = option(
        1.05, "largest package as a part of the champion's, where `max_bytes` is none", minimum=0.0
    )
    max_slowdown_ms: float = option(
        5.0, "milliseconds an example may take longer than with the champion: the median of rounds", minimum=0.0
    )
    max_length_change: float = option(
        0.1, "how far the mean ratio of lengths of outputs and references may move", minimum=0.0
    )
    max_repetition_rise: float = option(
        0.01, "rise of the share of outputs that repeat themselves in a loop", minimum=0.0, maximum=1.0
    )
    max_copies_rise: float = option(
        0.01, "rise of the share of outputs that are their source", minimum=0.0, maximum=1.0
    )
    max_numbers_fall: float = option(
        0.02, "fall of the share of numbers in sources that outputs have, too", minimum=0.0, maximum=1.0
    )
    max_empties_rise: float = option(0.005, "rise of the share of empty outputs", minimum=0.0, maximum=1.0)
    max_label_flips: float = option(
        0.1, "share of examples that may get another label than the champion's", minimum=0.0, maximum=1.0
    )
    min_parity: float = option(
        0.9,
        "share of answers on which exported graphs must agree with the package, to the letter: rounding of 8-bit "
        "activations alone changes some texts",
        minimum=0.0,
        maximum=1.0,
    )
    drift_tolerance: float = option(
        0.1,
        "points between the champion's score tonight and that of its promotion; beyond, the environment has changed",
        minimum=0.0,
        maximum=100.0,
    )
    implausible_gain: float = option(
        10.0, "gain in points above which a leak of test data is suspected", minimum=0.0, maximum=100.0
    )
    staleness_days: float = option(
        30.0, "days without a promotion after which there is an alarm; it promotes nothing", minimum=0.0
    )
    false_promotion_rate: float = option(
        0.05,
        "chance that among all uses of a frozen test set one promotes a candidate that is worse by more than `margin`",
        minimum=1e-6,
        maximum=0.5,
    )
    frozen_uses: int = option(
        365,
        "nights that share `false_promotion_rate`; then the frozen test set is worn out. To raise it for a set that is "
        "in use spends more than that rate",
        minimum=1,
    )
    newest_error_rate: float = option(
        0.05,
        "chance that a candidate that gains less than `min_gain` passes on one night's newest data, which no other "
        "night uses unless nothing newer arrives",
        minimum=1e-6,
        maximum=0.5,
    )

    def __post_init__(self) -> None:
        check_relations(self)

    @relation("min_gain", "implausible_gain")
    def _something_can_be_promoted(self) -> None:
        if self.min_gain >= self.implausible_gain:
            raise UserError(
                f"gates.min_gain={self.min_gain:g} with gates.implausible_gain={self.implausible_gain:g}",
                "a least gain below the implausible one: nothing could be promoted",
                "set gates.min_gain or gates.implausible_gain",
            )
