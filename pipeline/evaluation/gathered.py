"""What ranks have found of the examples of a split, put into its order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

Found = TypeVar("Found")


def gathered(found: dict[int, Found], num_examples: int, gather: Callable[[Any], list[Any]]) -> list[Found]:
    """What all ranks have found of the examples of a split, in its order.

    Args:
        found: number of an example -> what this rank has found of it.
        num_examples: of the split.
        gather: what all ranks give, in their order.

    Raises:
        KeyError: nobody has found anything of one of them.
    """
    merged = {index: value for part in gather(found) for index, value in part.items()}
    return [merged[index] for index in range(num_examples)]
