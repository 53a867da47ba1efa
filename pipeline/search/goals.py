"""What a search on a table looks for, as one number per candidate: its merit, which is a weight over its error.

The weight of the published goal is what a candidate saves against T, so that its merit is W; that of the least error
under a limit is 1. What a candidate costs is known before it is trained: no loop trains one that the limit forbids.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.config.errors import UserError
from pipeline.search.cover import Cost, maximum_point, ordered, saving
from pipeline.search.table import Numbers, SearchTable


@dataclass(frozen=True, kw_only=True)
class Goal:
    """What is looked for among the candidates of one table.

    Args:
        name: for people.
        allowed: indices of the candidates that may be chosen, cheapest first; ties as the table has them.
        weights: (candidates,), merit is a weight over an error.
        by_weight: whether weights differ by what candidates save.
    """

    name: str
    allowed: NDArray[np.intp]
    weights: Numbers
    by_weight: bool

    def merit(self, candidates: NDArray[np.intp], errors: Numbers) -> Numbers:
        """More is better; 0 where training diverged.

        Args:
            candidates: indices, (n,).
            errors: of these, (n,).
        """
        merit: Numbers = self.weights[candidates] / errors
        return merit

    def regret(self, table: SearchTable, candidate: int) -> float:
        """What a choice lacks of the best one: a part of its W, or an error above the least one."""
        merits = self.merit(self.allowed, table.final_error[self.allowed])
        mine = self.weights[candidate] / table.final_error[candidate]
        if self.by_weight:
            return float(1 - mine / merits.max()) if merits.max() > 0 else 0.0
        least = float(table.final_error[self.allowed].min())
        return float(table.final_error[candidate]) - least if np.isfinite(least) else 0.0


@dataclass(frozen=True, kw_only=True)
class CostColumns:
    """The two costs that order candidates.

    Args:
        size: name of the column p.
        inference: name of the column i.
    """

    size: str
    inference: str

    def of(self, table: SearchTable) -> list[Cost]:
        """Per candidate.

        Raises:
            UserError: a column that the table does not have.
        """
        for key, name in (("size", self.size), ("inference", self.inference)):
            if name not in table.costs:
                raise UserError(
                    f"benchmark.search.{key}={name}",
                    f"the costs of the table: {', '.join(table.costs)}",
                    f"set benchmark.search.{key}",
                )
        pairs = zip(table.costs[self.size].tolist(), table.costs[self.inference].tolist(), strict=True)
        return [Cost(size=size, inference=inference) for size, inference in pairs]

    def limit(self, table: SearchTable, part: float) -> float:
        """The size of a candidate that this part of the table does not exceed.

        Raises:
            UserError: a column that the table does not have.
        """
        return float(np.quantile([cost.size for cost in self.of(table)], part, method="higher"))

    def maximum(self, table: SearchTable) -> Cost:
        """T of the table."""
        return maximum_point(ordered(range(len(table.names)), self.of(table).__getitem__))


def highest_w(table: SearchTable, columns: CostColumns, maximum: Cost) -> Goal:
    """The published goal: the highest W under T.

    Args:
        table: the candidates.
        columns: size and inference.
        maximum: T's costs; those of the whole table, whatever part of it is offered.
    """
    return Goal(
        name="highest W",
        allowed=_cheapest_first(table, columns),
        weights=np.array([saving(cost, maximum) for cost in columns.of(table)]),
        by_weight=True,
    )


def least_error(table: SearchTable, columns: CostColumns, limit: float) -> Goal:
    """The least error at no more than a size.

    Args:
        table: the candidates.
        columns: size and inference.
        limit: the largest size that is allowed.

    Raises:
        UserError: no candidate meets the limit.
    """
    order, sizes = _cheapest_first(table, columns), table.costs[columns.size]
    allowed = order[sizes[order] <= limit]
    if not len(allowed):
        raise UserError(
            f"none of {len(order)} candidates has {columns.size} of at most {limit:,.0f}",
            f"limits from {sizes.min():,.0f} on, the size of '{table.names[int(sizes.argmin())]}'",
            "raise benchmark.search.limits or benchmark.search.offered",
        )
    name = f"least error, {columns.size} <= {limit:,.0f}"
    return Goal(name=name, allowed=allowed, weights=np.ones(len(order)), by_weight=False)


def _cheapest_first(table: SearchTable, columns: CostColumns) -> NDArray[np.intp]:
    candidates = ordered(range(len(table.names)), columns.of(table).__getitem__)
    return np.array([candidate.architecture for candidate in candidates])
