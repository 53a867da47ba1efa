"""What fits: rows in batches of so many tokens, a row in so many tokens. Exported models need it, too: no libraries."""

from __future__ import annotations

from collections.abc import Collection, Sequence


def length_batches(lengths: Sequence[int], batch_tokens: int) -> list[list[int]]:
    """Row numbers in batches, longest first, every row exactly once.

    Args:
        lengths: tokens of every row.
        batch_tokens: most padded tokens in a batch; a row that is longer has one of its own.
    """
    batches: list[list[int]] = []
    for row in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        if not batches or (len(batches[-1]) + 1) * lengths[batches[-1][0]] > batch_tokens:
            batches.append([])
        batches[-1].append(row)
    return batches


def cut_row(row: list[int], limit: int, special: Collection[int]) -> list[int]:
    """At most `limit` token ids of a row; special tokens at its end stay."""
    if len(row) <= limit:
        return row
    end = next((i for i, token in enumerate(reversed(row)) if token not in special), 0)
    end = min(end, limit)  # a text may hold any number of special tokens itself
    return [*row[: limit - end], *row[len(row) - end :]]
