"""Examples of the frozen test set in new training data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.config.sections.data_checks import DataChecksConfig
from pipeline.retraining.check_result import CheckResult, at_most
from pipeline.retraining.pairs import normalised


@dataclass(frozen=True, kw_only=True)
class Overlap:
    """What new data and the frozen test set share.

    Args:
        indices: places of the new examples to remove, rising.
        num_frozen: distinct sources of the test set that were found.
        result: whether that is so many that the data are refused.
    """

    indices: tuple[int, ...]
    num_frozen: int
    result: CheckResult


def check_overlap(sources: Sequence[str], frozen: Sequence[str], config: DataChecksConfig) -> Overlap:
    """Find new examples whose source, however written, is one of the frozen test set.

    The share is that of the test set: a small test set that is wholly in large data is a small part of them, and
    still worthless.

    Args:
        sources: of new data.
        frozen: sources of the test set.
        config: bounds.
    """
    held = {normalised(source) for source in frozen if isinstance(source, str)}
    places = [(index, normalised(source)) for index, source in enumerate(sources) if isinstance(source, str)]
    indices = tuple(index for index, source in places if source in held)
    num_frozen = len({source for _, source in places if source in held})
    share = num_frozen / max(1, len(held))
    sentence = (
        f"{len(indices):,} new examples have a source of the frozen test set and are removed; they are {share:.2%} of "
        f"its {len(held):,} sources."
    )
    return Overlap(
        indices=indices,
        num_frozen=num_frozen,
        result=at_most("overlap with the test set", share, config.max_test_overlap, sentence),
    )
