"""Published results on the same tasks: other data, other model size, other accounting of bytes; for orientation only.

DQ-BART (arXiv 2203.11239) as quoted by TBT (arXiv 2306.01841). All students have 6 encoder and 6 decoder layers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

MIB = 2**20
GB = 10**9
SOURCE = "DQ-BART (arXiv 2203.11239), as quoted by TBT (arXiv 2306.01841)"


@dataclass(frozen=True, kw_only=True)
class PublishedPoint:
    """One published model.

    Args:
        method: and the model it was applied to.
        bits: W-E-A.
        scores: in percent, under our names.
        size_printed: as the paper prints it; empty where what it prints cannot be right.
        size_bytes: the same in bytes, by the paper's accounting: packed weights, not everything that is on disk.
    """

    method: str
    bits: str
    scores: Mapping[str, float]
    size_printed: str = ""
    size_bytes: float | None = None
    source: str = SOURCE


def _bart(method: str, bits: str, megabytes: float, r1: float, r2: float, rlsum: float) -> PublishedPoint:
    """Of BART-base, whose 139.4 million fp32 weights are 532 times 2**20 bytes: so a printed MB is one of those."""
    return PublishedPoint(
        method=f"{method}, BART-base 6-6",
        bits=bits,
        scores={"rouge1": r1, "rouge2": r2, "rougeLsum": rlsum},  # their "R-L" is computed on lines of sentences
        size_printed=f"{megabytes} MB",
        size_bytes=megabytes * MIB,
    )


def _mbart(method: str, bits: str, gigabytes: float | None, bleu: float) -> PublishedPoint:
    """Of mBART-large, whose 610.9 million fp32 weights are 2.44 times 10**9 bytes."""
    return PublishedPoint(
        method=f"{method}, mBART-large",
        bits=bits,
        scores={"bleu": bleu},
        size_printed="" if gigabytes is None else f"{gigabytes} GB",
        size_bytes=None if gigabytes is None else gigabytes * GB,
    )


PUBLISHED: Mapping[str, tuple[PublishedPoint, ...]] = {
    "xsum": (
        _bart("teacher", "32-32-32", 532.0, 43.84, 20.79, 35.71),
        _bart("DQ-BART", "8-8-8", 138.1, 42.51, 19.61, 34.61),
        _bart("DQ-BART", "2-2-8", 39.6, 40.06, 17.34, 32.46),
    ),
    "cnn_dailymail": (
        _bart("teacher", "32-32-32", 532.0, 44.90, 22.25, 42.09),
        _bart("DQ-BART", "8-8-8", 138.1, 44.66, 21.92, 41.86),
        _bart("DQ-BART", "2-2-8", 39.6, 42.94, 20.07, 40.13),
    ),
    "wmt16_en_ro": (
        _mbart("teacher", "32-32-32", 2.44, 26.82),
        _mbart("DQ-BART", "8-8-8", 0.61, 25.91),
        _mbart("DQ-BART", "2-2-8", None, 23.48),  # the printed 0.31 GB are four bits a weight, not two
    ),
}


def published_points(task: str) -> tuple[PublishedPoint, ...]:
    """The published results of a task; most have none."""
    return PUBLISHED.get(task, ())
