"""A training split taken apart where there are no others, and what others share with it."""

from __future__ import annotations

import hashlib
from array import array
from collections import Counter
from collections.abc import Iterator, Mapping

import datasets
import numpy as np

from pipeline.config.errors import UserError

INT64 = "q"


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
    rows = {split: array(INT64) for split in ("train", *shares)}
    for index, source in enumerate(examples["source"]):
        rows[split_of(source, shares)].append(index)
    splits = {}
    for split, indices in rows.items():
        if not indices:
            given = ", ".join(f"data.split_{name}={share:g}" for name, share in shares.items())
            raise UserError(
                f"{given} leaves no example for {split}: there are {len(examples)}",
                "an example in every split",
                "set other shares, or name files of their own in task.corpus.files",
            )
        splits[split] = examples.select(np.frombuffer(indices, np.int64))
    return splits


def num_in_training(splits: Mapping[str, datasets.Dataset]) -> dict[str, int]:
    """Examples of every other split whose source, of pairs both texts, is in the training split, too."""
    return {name: num_shared(split, splits["train"]) for name, split in splits.items() if name != "train"}


def num_shared(examples: datasets.Dataset, others: datasets.Dataset) -> int:
    """Examples whose source, of pairs both texts, is that of one of the others, too; others may be many."""
    counts = Counter(_sources(examples))
    return sum(counts[source] for source in {source for source in _sources(others) if source in counts})


def _sources(examples: datasets.Dataset) -> Iterator[int]:
    """A number for every source: the texts themselves may be more than memory holds."""
    columns = [name for name in ("source", "second") if name in examples.column_names]
    for batch in examples.select_columns(columns).iter(batch_size=1000):
        yield from map(hash, zip(*batch.values(), strict=True))
