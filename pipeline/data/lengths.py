"""Lengths of examples, of which there may be many: four bytes a number."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import overload

INT32 = "i"


class Lengths(Sequence[tuple[int, int]]):
    """(source, target) tokens of every example; they read as a list of pairs does.

    Args:
        source: tokens of every source.
        target: tokens of every target.
    """

    def __init__(self, source: Iterable[int], target: Iterable[int]) -> None:
        self._source, self._target = array(INT32, source), array(INT32, target)

    def __len__(self) -> int:
        return len(self._source)

    @overload
    def __getitem__(self, place: int) -> tuple[int, int]: ...
    @overload
    def __getitem__(self, place: slice) -> Lengths: ...
    def __getitem__(self, place: int | slice) -> tuple[int, int] | Lengths:
        source, target = self._source[place], self._target[place]
        if isinstance(source, int) and isinstance(target, int):
            return source, target
        assert isinstance(source, array) and isinstance(target, array)
        return Lengths(source, target)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return zip(self._source, self._target, strict=True)

    @property
    def num_bytes(self) -> int:
        """What they take in memory."""
        return sum(side.itemsize * len(side) for side in (self._source, self._target))
