"""A training split taken apart where there are no others."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import datasets

from pipeline.config.errors import UserError


def split_of(source: str, shares: Mapping[str, float]) -> str:
    """The split that an example belongs to, from its source alone.

    So the same text is in one split on every machine, however often it occurs and whatever stands beside it. A larger
    share of one split takes examples from the training split, and none from another's.

    Args:
        source: the text.
        shares: of validation, of test.
    """
    drawn = int.from_bytes(hashlib.sha256(source.encode()).digest()[:8], "big") / 2**64
    if drawn < shares.get("test", 0.0):
        return "test"
    return "validation" if drawn >= 1 - shares.get("validation", 0.0) else "train"


def taken_apart(examples: datasets.Dataset, shares: Mapping[str, float]) -> dict[str, datasets.Dataset]:
    """The training split and what is taken from it.

    Args:
        examples: the training split with column `source`.
        shares: of validation and test, those above 0.

    Raises:
        UserError: so few examples that one of them is empty.
    """
    names = [split_of(source, shares) for source in examples["source"]]
    splits = {}
    for split in ("train", *shares):
        rows = [index for index, name in enumerate(names) if name == split]
        if not rows:
            given = ", ".join(f"data.split_{name}={share:g}" for name, share in shares.items())
            raise UserError(
                f"{given} leaves no example for {split}: there are {len(examples)}",
                "an example in every split",
                "set other shares, or name files of their own in task.corpus.files",
            )
        splits[split] = examples.select(rows)
    return splits
