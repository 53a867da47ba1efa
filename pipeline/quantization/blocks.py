"""Which values of a tensor share a scale."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Blocks:
    """A granularity: quantizers see the blocks as the last axis and know nothing else of it.

    Args:
        kind: `tensor` (one block), `row` (the last axis), `group` (runs of `size` values along the last axis).
        size: length of a group.
    """

    kind: str
    size: int = 0

    def split(self, x: Tensor) -> Tensor:
        """A view (or copy) of a tensor whose last axis is a block.

        Raises:
            ValueError: rows that do not divide into groups.
        """
        if self.kind == "tensor":
            return x.reshape(1, -1)
        if self.kind == "row":
            return x.unsqueeze(0) if x.dim() == 0 else x
        if x.size(-1) % self.size:
            raise ValueError(f"groups of {self.size} in rows of {x.size(-1)}")
        return x.reshape(*x.shape[:-1], -1, self.size)

    @property
    def scale_bits(self) -> int:
        """Significant bits of a scale: 16 beside 8 of a code are exact in fp32; groups store theirs as bf16."""
        return 8 if self.kind == "group" else 16

    def __str__(self) -> str:
        """`tensor`, `row` or `group32`."""
        return f"{self.kind}{self.size or ''}"


TENSOR, ROW = Blocks("tensor"), Blocks("row")


def blocks_of(name: str) -> Blocks:
    """The blocks of a configured granularity: per_tensor, per_row, group_32, group_64, group_128."""
    kind, _, size = name.partition("_")
    return Blocks("group", int(size)) if kind == "group" else Blocks(size)
