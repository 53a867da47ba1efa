"""How far numbers of new data are from those of accepted data: volume, lengths, labels."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from pipeline.config.sections.data_checks import DataChecksConfig
from pipeline.retraining.check_result import CheckResult, at_most
from pipeline.retraining.pairs import Pairs
from pipeline.retraining.words import lengths_of


def check_volume(new: Pairs, reference: Pairs, config: DataChecksConfig) -> CheckResult:
    """About as many examples as were accepted before."""
    ratio = len(new) / max(1, len(reference))
    is_less = ratio < 1
    most = f", up to {config.max_volume:g}" if math.isfinite(config.max_volume) else ""
    return CheckResult(
        name="volume",
        passed=config.min_volume <= ratio <= config.max_volume,
        measured=ratio,
        allowed=config.min_volume if is_less else config.max_volume,
        sentence=f"There are {len(new):,} examples, {ratio:.3g} times the {len(reference):,} accepted before; allowed "
        f"are {config.min_volume:g} times or more{most}.",
    )


def check_lengths(new: Sequence[str], reference: Sequence[str], column: str, config: DataChecksConfig) -> CheckResult:
    """Texts about as long as those accepted before, by `length_distance`."""
    distance = length_distance(new, reference)
    medians = [float(np.median(lengths_of(texts))) if texts else 0.0 for texts in (new, reference)]
    sentence = f"Lengths of {column}: distance {distance:.3f}, median {medians[0]:g} words (before: {medians[1]:g})."
    return at_most(f"lengths of {column}", distance, config.max_length_shift, sentence)


def length_distance(texts: Sequence[str], others: Sequence[str]) -> float:
    """The Kolmogorov-Smirnov distance of the lengths in words: 0 (equal) to 1 (none of one is as long as any other)."""
    if not texts or not others:
        return float(bool(texts) != bool(others))
    lengths, before = np.sort(lengths_of(texts)), np.sort(lengths_of(others))
    places = np.union1d(lengths, before)
    parts = [np.searchsorted(each, places, side="right") / len(each) for each in (lengths, before)]
    return float(np.abs(parts[0] - parts[1]).max())


def check_label_shift(new: Sequence[str], reference: Sequence[str], config: DataChecksConfig) -> CheckResult:
    """Labels about as often as before, by total variation; what chance alone gives is allowed on top."""
    counts, others = Counter(new), Counter(reference)
    distance, chance = total_variation(counts, others), variation_by_chance(counts, others)
    sentence = f"Shares of labels: total variation {distance:.3f}, of which chance alone gives about {chance:.3f}."
    return at_most("label shift", distance, config.max_label_shift + chance, sentence)


def check_unknown_labels(new: Sequence[str], reference: Sequence[str], config: DataChecksConfig) -> CheckResult:
    """No label that was not there before: a model has no answer for it."""
    known = set(reference)
    unknown = Counter(label for label in new if label not in known)
    share = unknown.total() / max(1, len(new))
    example = f", as {max(unknown)[:40]!r}" if unknown else ""
    return at_most(
        "unknown labels", share, config.max_unknown_labels, f"{share:.2%} of labels were not there before{example}."
    )


def total_variation(counts: Mapping[str, int], others: Mapping[str, int]) -> float:
    """Half the sum of the differences of shares: 0 (equal) to 1 (nothing in common)."""
    total, total_others = max(1, sum(counts.values())), max(1, sum(others.values()))
    keys = counts.keys() | others.keys()
    differences = (abs(counts.get(key, 0) / total - others.get(key, 0) / total_others) for key in keys)
    return math.fsum(differences) / 2  # exactly rounded, so the order of a set does not matter


def variation_by_chance(counts: Mapping[str, int], others: Mapping[str, int]) -> float:
    """About the total variation of two independent samples of these sizes from one distribution, that of `others`."""
    total, total_others = sum(counts.values()), sum(others.values())
    if not total or not total_others:
        return 0.0
    spread = math.sqrt(2 / math.pi * (1 / total + 1 / total_others))
    shares = [count / total_others for count in others.values()]
    return spread * math.fsum(math.sqrt(share * (1 - share)) for share in shares) / 2
