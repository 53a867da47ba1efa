"""Search loops on a table at equal budget.

A budget is a number of steps. Every loop pays for all that it looks at and for the training of its answer to the end;
one that cannot pay for an answer gives none. Published: the ε-cover and its choice by W (`cover.py`); the rule of ASHA
(arXiv 1810.05934), here with one worker. Decided here: which ε a budget buys, how ties are broken (at random, but along
the cover), what loops do when the candidates are used up.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pipeline.search.goals import Goal
from pipeline.search.rankers import Ranker
from pipeline.search.table import SearchTable


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a loop chose.

    Args:
        candidate: its index in the table.
        spent: steps, the training of the answer to the end included.
    """

    candidate: int
    spent: int


Loop = Callable[[SearchTable, Goal, int, np.random.Generator], Answer | None]


def random_search(table: SearchTable, goal: Goal, budget: int, rng: np.random.Generator) -> Answer | None:
    """Train as many candidates to the end as the budget allows, drawn at random, and take the best."""
    drawn = rng.permutation(goal.allowed)[: budget // table.end]
    if not len(drawn):
        return None
    best = drawn[goal.merit(drawn, table.final_error[drawn]).argmax()]
    return Answer(candidate=int(best), spent=len(drawn) * table.end)


def by_ranker(ranker: Ranker) -> Loop:
    """Look at every candidate, train the first ones to the end, and take the best of these; equal ones at random."""

    def loop(table: SearchTable, goal: Goal, budget: int, rng: np.random.Generator) -> Answer | None:
        num_trained = num_trained_after(ranker, len(goal.allowed), budget)
        if num_trained < 1:
            return None
        first = goal.allowed[np.lexsort((rng.permutation(len(goal.allowed)), ranker.order_values(goal)))[:num_trained]]
        best = first[goal.merit(first, table.final_error[first]).argmax()]
        return Answer(candidate=int(best), spent=len(goal.allowed) * ranker.steps + len(first) * ranker.remaining)

    return loop


def num_trained_after(ranker: Ranker, num_candidates: int, budget: int) -> int:
    """Candidates that a budget trains to the end after all were looked at; negative where that alone is too dear."""
    return min(num_candidates, (budget - num_candidates * ranker.steps) // ranker.remaining)


def ose(group: str, steps: int) -> Loop:
    """Optimal sub-architecture extraction: train an ε-cover a little, take the best of it and train that to the end.

    The best by W where W is the goal, by error under a limit; ε is the least that the budget pays for.

    Args:
        group: whose errors it sees.
        steps: of the little training.
    """

    def loop(table: SearchTable, goal: Goal, budget: int, _: np.random.Generator) -> Answer | None:
        errors = table.errors[group][steps]
        remaining = table.end - steps if group == table.final else table.end
        num_affordable = (budget - remaining) // steps
        if num_affordable < 1:
            return None
        cover = goal.allowed[:: math.ceil(len(goal.allowed) / num_affordable)]
        best = cover[goal.merit(cover, errors[cover]).argmax()]
        return Answer(candidate=int(best), spent=len(cover) * steps + remaining)

    return loop


def rungs_of(table: SearchTable, eta: int) -> list[int]:
    """Steps after which candidates are compared: each at least eta times those before, the end the last."""
    rungs: list[int] = []
    for steps in table.errors[table.final]:
        if not rungs or (steps >= eta * rungs[-1] and eta * steps <= table.end):
            rungs.append(steps)
    return rungs if rungs[-1] == table.end else [*rungs, table.end]


def successive_halving(eta: int) -> Loop:
    """Train many candidates a little and the best 1/eta of them further, by the rule of ASHA with one worker.

    A candidate is promoted as soon as it is among the best 1/eta of its rung; where none is, a new one starts; where
    the candidates are used up, the best of the highest rung goes on.
    """

    def loop(table: SearchTable, goal: Goal, budget: int, rng: np.random.Generator) -> Answer | None:
        ladder = _Ladder(table, goal, eta, rng)
        while (job := ladder.next_job(budget)) is not None:
            ladder.do(*job)
        return ladder.answer()

    return loop


class _Ladder:
    """The rungs of a halving search, and who stands on them."""

    def __init__(self, table: SearchTable, goal: Goal, eta: int, rng: np.random.Generator) -> None:
        self._table, self._goal, self._eta = table, goal, eta
        self._rungs = rungs_of(table, eta)
        self._waiting = rng.permutation(goal.allowed).tolist()
        self._reached: list[list[int]] = [[] for _ in self._rungs]  # by rung, best first
        self._spent = 0

    def next_job(self, budget: int) -> tuple[int, int] | None:
        """Who is trained next to which rung, so that an answer can still be paid for; none: that was all."""
        for job in self._jobs():
            rung = max(job[1], self._highest())
            if self._spent + self._price(job[1]) + self._rungs[-1] - self._rungs[rung] <= budget:
                return job
        return None

    def do(self, candidate: int, rung: int) -> None:
        """Train a candidate to a rung."""
        self._spent += self._price(rung)
        self._reached[rung].append(candidate)
        here = np.array(self._reached[rung])
        merits = self._goal.merit(here, self._table.errors[self._table.final][self._rungs[rung]][here])
        self._reached[rung] = here[np.argsort(-merits, kind="stable")].tolist()

    def answer(self) -> Answer | None:
        """The best of the highest rung, trained to the end."""
        if not self._reached[0]:
            return None
        highest = self._highest()
        spent = self._spent + self._rungs[-1] - self._rungs[highest]
        return Answer(candidate=self._reached[highest][0], spent=spent)

    def _jobs(self) -> list[tuple[int, int]]:
        """What might be done next, the most urgent first."""
        left = [self._left_behind(rung) for rung in range(len(self._rungs) - 1)]
        jobs = []
        for rung in reversed(range(len(left))):
            best = self._reached[rung][: len(self._reached[rung]) // self._eta]
            jobs += [(candidate, rung + 1) for candidate in left[rung] if candidate in best][:1]
        jobs += [(candidate, 0) for candidate in self._waiting[len(self._reached[0]) :][:1]]
        if not self._waiting[len(self._reached[0]) :]:
            jobs += [(of_rung[0], rung + 1) for rung, of_rung in reversed([*enumerate(left)]) if of_rung]
        return jobs

    def _left_behind(self, rung: int) -> list[int]:
        above = set(self._reached[rung + 1])
        return [candidate for candidate in self._reached[rung] if candidate not in above]

    def _price(self, rung: int) -> int:
        return self._rungs[rung] - (self._rungs[rung - 1] if rung else 0)

    def _highest(self) -> int:
        return max((rung for rung, reached in enumerate(self._reached) if reached), default=0)
