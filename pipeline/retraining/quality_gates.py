"""Gates of scores: on the frozen test set, on its slices, on the newest data."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from pipeline.config.sections.gates import GatesConfig
from pipeline.retraining.evidence import Evidence
from pipeline.retraining.spending import Values, lower_bound, paired
from pipeline.retraining.verdict import Gate, at_least, at_most, not_asked

PLAUSIBLE, NEWEST = "plausible_gain", "newest_gain"
NOTHING_NEWEST = "Gain on the newest data: nothing was held out tonight that could show one."


def quality_gates(evidence: Evidence, gates: GatesConfig, level: float) -> list[Gate]:
    """Gates of scores.

    Args:
        evidence: both sides with the same number of scores.
        gates: what is allowed.
        level: the chance of an error on the frozen set.
    """
    frozen = paired(evidence.candidate.frozen_scores, evidence.champion.frozen_scores)
    has_newest = bool(evidence.candidate.newest_scores or evidence.champion.newest_scores)
    newest = frozen if not has_newest else paired(evidence.candidate.newest_scores, evidence.champion.newest_scores)
    worst = float(lower_bound(frozen, level))
    gain = float(lower_bound(newest, gates.newest_error_rate))
    largest = float(np.max([frozen.mean(), newest.mean()]))  # nan where one is
    quality = mean_score(evidence.candidate.frozen_scores)
    shown = [
        f"(mean {values.mean():+.4g}, level {of:.2g})"
        for values, of in ((frozen, level), (newest, gates.newest_error_rate))
    ]
    return [
        at_most(PLAUSIBLE, "Mean gain, above which a leak is suspected", largest, gates.implausible_gain, " points"),
        at_least(
            "frozen_quality", f"Lower bound of the gain on the frozen set {shown[0]}", worst, -gates.margin, " points"
        ),
        at_least(NEWEST, f"Lower bound of the gain on the newest data {shown[1]}", gain, gates.min_gain, " points")
        if has_newest
        else Gate(name=NEWEST, passed=False, measured=None, allowed=gates.min_gain, sentence=NOTHING_NEWEST),
        *_slices(evidence, gates, frozen),
        at_least("minimum_quality", "Mean score on the frozen set", quality, gates.min_quality, " %"),
    ]


def mean_score(scores: Sequence[float]) -> float:
    """Of scores in percent; nan where one is none, or there are none."""
    is_sound = len(scores) > 0 and all(0 <= score <= 100 for score in scores)
    return math.fsum(scores) / len(scores) if is_sound else math.nan


def _slices(evidence: Evidence, gates: GatesConfig, frozen: Values) -> list[Gate]:
    """A gate for the mean of each slice: they are small, and bounds at the level of a night would let nothing pass."""
    if not evidence.slices:
        return [not_asked("slices", "there are no slices")]
    return [
        at_least(
            f"slice:{name}",
            f"Mean gain on the slice '{name}'",
            _mean_of(frozen, indices),
            -gates.slice_margin,
            " points",
        )
        for name, indices in sorted(evidence.slices.items())
    ]


def _mean_of(frozen: Values, indices: Sequence[int]) -> float:
    is_sound = len(indices) > 0 and all(0 <= index < len(frozen) for index in indices)
    return float(frozen[list(indices)].mean()) if is_sound else math.nan
