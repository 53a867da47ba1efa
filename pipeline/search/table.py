"""Architectures that were all trained to the end: what a search would have seen of them, and what came out.

A row is one candidate under one training seed, in JSON:

    {"name": "4-8-256-512", "seed": 0,
     "costs": {"parameters": 3159040, "operations": 806354944, "size_bytes": 12636160, "latency_ms": 4.1},
     "scores": {"head_confidence": 7.13},
     "errors": {"scratch": {"3": 9.91, "10": 9.54, "1000": 5.02}, "distilled": {"3": 9.87, "2000": 4.61}},
     "final": "distilled"}

The last error of the group `final` is the final error, the one truth of the table; errors of one group are points of
one training run, so that who has paid for the first of them pays the rest alone. `null` stands for training that
diverged. All rows have the same costs, scores, groups and steps; every seed has the same candidates at the same costs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.config.errors import UserError, listed

Numbers = NDArray[np.float64]  # one per candidate
OPTIMISER_STEPS = "optimiser steps"


@dataclass(frozen=True, kw_only=True)
class TableRow:
    """One candidate under one training seed.

    Args:
        name: of the architecture; the same under every seed.
        seed: of its training.
        costs: known without training it: name -> a number above 0.
        scores: training-free, more is better: name -> value.
        errors: group -> number of steps -> error or loss above 0; infinite where training diverged.
        final: the group whose last error is the final one.

    Raises:
        UserError: a number that cannot be one, no costs, no errors, a final group that is not there.
    """

    name: str
    seed: int
    costs: Mapping[str, float]
    scores: Mapping[str, float] = field(default_factory=dict)
    errors: Mapping[str, Mapping[int, float]]
    final: str

    def __post_init__(self) -> None:
        if not self.costs or not all(_is_cost(value) for value in self.costs.values()):
            raise _wrong(self, f"costs {dict(self.costs)}", "one or more costs, finite numbers above 0")
        if not all(_is_number(value) and math.isfinite(value) for value in self.scores.values()):
            raise _wrong(self, f"scores {dict(self.scores)}", "finite numbers")
        for group, errors in self.errors.items():
            if not errors or not all(type(steps) is int and steps > 0 for steps in errors):
                raise _wrong(self, f"errors of '{group}' after {list(errors)} steps", "numbers of steps from 1 on")
            if not all(_is_number(error) and error > 0 for error in errors.values()):
                raise _wrong(self, f"errors {dict(errors)} of '{group}'", "numbers above 0, null where it diverged")
        if self.final not in self.errors:
            raise _wrong(self, f"the final group '{self.final}'", f"one of the groups {list(self.errors)}")

    def as_json(self) -> dict[str, Any]:
        """The row as it stands in a table's file."""
        errors = {
            group: {str(steps): error if math.isfinite(error) else None for steps, error in of_group.items()}
            for group, of_group in self.errors.items()
        }
        return {**asdict(self), "errors": errors}


@dataclass(frozen=True, kw_only=True)
class SearchTable:
    """The candidates of one training seed, as columns.

    Args:
        names: of the candidates.
        seed: of their training.
        unit: what is counted as steps.
        costs: name -> a number per candidate.
        scores: name -> a number per candidate, more is better.
        errors: group -> steps, rising -> an error per candidate.
        final: the group whose last error is the final one.
    """

    names: tuple[str, ...]
    seed: int
    unit: str
    costs: Mapping[str, Numbers]
    scores: Mapping[str, Numbers]
    errors: Mapping[str, Mapping[int, Numbers]]
    final: str

    @property
    def end(self) -> int:
        """Steps of a whole training."""
        return max(self.errors[self.final])

    @property
    def final_error(self) -> Numbers:
        """The truth."""
        return self.errors[self.final][self.end]

    def offered(self, indices: NDArray[np.intp]) -> SearchTable:
        """These candidates alone, in this order."""
        return SearchTable(
            names=tuple(self.names[index] for index in indices),
            seed=self.seed,
            unit=self.unit,
            costs={name: values[indices] for name, values in self.costs.items()},
            scores={name: values[indices] for name, values in self.scores.items()},
            errors={
                group: {steps: values[indices] for steps, values in errors.items()}
                for group, errors in self.errors.items()
            },
            final=self.final,
        )


def tables_of(rows: Sequence[TableRow], unit: str = OPTIMISER_STEPS) -> tuple[SearchTable, ...]:
    """One table per training seed, seeds rising, candidates in the order of the first seed.

    Raises:
        UserError: fewer than two candidates, rows with other columns than the first, a candidate twice under one seed,
            seeds with other candidates, a candidate with other costs under another seed.
    """
    if not rows:
        raise UserError("a table without rows", "a row a candidate", "name another table")
    by_seed: dict[int, dict[str, TableRow]] = {}
    for row in rows:
        if _columns(row) != _columns(rows[0]):
            raise _wrong(row, f"columns {_columns(row)}", f"those of the first row, {_columns(rows[0])}")
        if row.name in (of_seed := by_seed.setdefault(row.seed, {})):
            raise _wrong(row, "a second row of this candidate and seed", "each once")
        of_seed[row.name] = row
    first = by_seed[rows[0].seed]
    if len(first) < 2:
        raise UserError("a table of one candidate", "at least two", "name another table")
    for seed, of_seed in by_seed.items():
        if others := sorted(set(first) ^ set(of_seed)):
            raise UserError(
                f"seed {seed} has other candidates than seed {rows[0].seed}: {listed(others)}",
                "the same under every seed",
                "leave them out of the table",
            )
        for name, row in of_seed.items():
            if row.costs != first[name].costs:
                raise _wrong(row, f"costs {dict(row.costs)}", f"those of its first seed, {dict(first[name].costs)}")
    return tuple(_table([by_seed[seed][name] for name in first], unit) for seed in sorted(by_seed))


def _table(rows: Sequence[TableRow], unit: str) -> SearchTable:
    first = rows[0]
    return SearchTable(
        names=tuple(row.name for row in rows),
        seed=first.seed,
        unit=unit,
        costs={name: np.array([row.costs[name] for row in rows], dtype=float) for name in first.costs},
        scores={name: np.array([row.scores[name] for row in rows], dtype=float) for name in first.scores},
        errors={
            group: {
                steps: np.array([row.errors[group][steps] for row in rows], dtype=float) for steps in sorted(errors)
            }
            for group, errors in first.errors.items()
        },
        final=first.final,
    )


def _columns(row: TableRow) -> dict[str, Any]:
    errors = {group: sorted(errors) for group, errors in sorted(row.errors.items())}
    return {"costs": sorted(row.costs), "scores": sorted(row.scores), "errors": errors, "final": row.final}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and not math.isnan(value)


def _is_cost(value: Any) -> bool:
    return _is_number(value) and 0 < value < math.inf


def _wrong(row: TableRow, given: str, allowed: str) -> UserError:
    return UserError(f"candidate '{row.name}' (seed {row.seed}): {given}", allowed, "mend the table")
