"""The results of a search for the bits of every module of one student."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class BitsPoint:
    """An assignment of bits.

    Args:
        name: what is written of it.
        size_bytes: of the packed weights.
        loss: expected: before, and what the modules add.
    """

    name: str
    size_bytes: int
    loss: float


@dataclass(frozen=True, kw_only=True)
class ModuleBits:
    """What the answer gives to a group of modules that have the same bits.

    Args:
        modules: their names.
        bits: of each of their weights.
        num_bytes: that they take together.
        rises: bits -> by how much the loss rises when they alone have so many; not finite where the model broke.
    """

    modules: Sequence[str]
    bits: float
    num_bytes: int
    rises: Mapping[float, float]


@dataclass(frozen=True, kw_only=True)
class BitsResults:
    """The results of a search for bits.

    Args:
        title: of page and picture.
        front: the best assignments of some budgets, from the least bytes to the most.
        answer: the best within the budget.
        uniform: the best of one number of bits for all layers and one for the token table; none within the budget.
        budget_bytes: the most that the answer may take.
        loss_before: of the student with all weights in full precision.
        words: one sentence: what the expected losses rest on.
        modules: the answer, group by group, in the order of the model.
        facts: what was run, as name -> text.
        environment: with what, likewise.
        config: the resolved configuration as YAML.
    """

    title: str
    front: Sequence[BitsPoint]
    answer: BitsPoint
    uniform: BitsPoint | None
    budget_bytes: int
    loss_before: float
    words: str
    modules: Sequence[ModuleBits]
    facts: dict[str, str]
    environment: dict[str, str]
    config: str
