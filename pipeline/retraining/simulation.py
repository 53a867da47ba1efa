"""Nights with candidates of known quality: how often a worse one is promoted, and how long a better one waits.

The score of a model on an example is its quality, what every model finds hard in it, and an error of the model's own.
What every model finds hard leaves a difference of two; what the candidates of all nights have in common does not,
because they are compared on the same frozen examples. The newest data are others every night.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.config.sections.gates import GatesConfig
from pipeline.retraining.spending import LARGEST_SCORE, Values, level_of_a_use, lower_bound
from pipeline.retraining.verdict import ROUNDING


@dataclass(frozen=True, kw_only=True)
class World:
    """What is the same in all nights.

    Args:
        num_frozen: examples of the frozen test set.
        num_newest: examples of the newest data of a night.
        deviation: of the difference of two models on an example, in points.
        shared: part of the variance, 0 to 1, that the candidates of all nights have in common on the frozen examples.
    """

    num_frozen: int
    num_newest: int
    deviation: float = 10.0
    shared: float = 0.5


@dataclass(frozen=True, kw_only=True)
class Simulation:
    """What happened, in repetitions that differ in chance alone.

    Args:
        num_promotions: of each repetition.
        num_false_promotions: of each repetition: the candidate was truly worse than its champion by the margin or more.
        num_nights_waited: of each repetition: nights from the first truly better candidate until one of them was
            promoted, 1: in the same night; none: it never was, or there was none.
    """

    num_promotions: tuple[int, ...]
    num_false_promotions: tuple[int, ...]
    num_nights_waited: tuple[int | None, ...]

    @property
    def share_with_false_promotions(self) -> float:
        """Share of repetitions, 0 to 1, with one false promotion or more."""
        return float(np.mean([num > 0 for num in self.num_false_promotions]))

    def share_promoted_within(self, num_nights: int) -> float:
        """Share of repetitions in which a truly better candidate waited for so many nights or less."""
        return float(np.mean([waited is not None and waited <= num_nights for waited in self.num_nights_waited]))


def simulate(
    qualities: Sequence[float],
    gates: GatesConfig,
    world: World,
    *,
    num_repetitions: int,
    seed: int,
    newest_advantage: float = 0.0,
    level: float | None = None,
) -> Simulation:
    """Go through nights in which only scores decide: gates of quality, plausibility and use of the frozen set.

    Args:
        qualities: the true quality of the candidate of each night, in points above the first champion.
        gates: as `decide` takes them.
        world: numbers of examples and chance.
        num_repetitions: of all nights, with chance of their own.
        seed: of the draws.
        newest_advantage: points that candidates are better on the newest data beyond their quality, as if the data had
            changed: then the gate of the frozen set stands alone.
        level: as of `decide`.
    """
    level = level_of_a_use(gates.false_promotion_rate, gates.frozen_uses) if level is None else level
    run = _Run(world, num_repetitions, seed)
    for night, quality in enumerate(qualities):
        run.note_better(night, quality)
        # Afterwards the frozen set is worn out.
        if night < gates.frozen_uses:
            passed = run.passed(quality, gates, newest_advantage, level)
            run.promote(passed, night, quality, gates.margin)
    return run.result()


class _Run:
    """All repetitions side by side."""

    def __init__(self, world: World, num_repetitions: int, seed: int) -> None:
        self.world = world
        self.generator = np.random.default_rng(seed)
        shape = (num_repetitions, world.num_frozen)
        # The difference of two errors has the deviation, so one has that of a half of its variance.
        self.scale = world.deviation / math.sqrt(2)
        self.common = self.generator.standard_normal(shape) * (self.scale * math.sqrt(world.shared))
        self.champion_errors = self.generator.standard_normal(shape) * self.scale
        self.errors = self.champion_errors
        self.champion = np.zeros(num_repetitions)
        self.num_promotions = np.zeros(num_repetitions, dtype=np.int64)
        self.num_false = np.zeros(num_repetitions, dtype=np.int64)
        self.first_better: npt.NDArray[np.int64] = np.full(num_repetitions, -1)
        self.waited: list[int | None] = [None] * num_repetitions

    def note_better(self, night: int, quality: float) -> None:
        """The waiting begins where the candidate is the first that is truly better."""
        self.first_better[(self.first_better < 0) & (quality > self.champion)] = night

    def passed(
        self, quality: float, gates: GatesConfig, newest_advantage: float, level: float
    ) -> npt.NDArray[np.int64]:
        """The repetitions in which tonight's candidate passes; newest data are drawn where the frozen set lets it."""
        own = self.generator.standard_normal(self.common.shape)
        own *= self.scale * math.sqrt(1 - self.world.shared)
        self.errors = own + self.common
        gains = quality - self.champion
        frozen = _clipped(self.errors - self.champion_errors + gains[:, None])
        rows = np.flatnonzero(_not_below(lower_bound(frozen, level), -gates.margin) & _plausible(frozen, gates))
        noise = self.generator.standard_normal((len(rows), self.world.num_newest)) * self.world.deviation
        newest = _clipped(noise + gains[rows, None] + newest_advantage)
        shown = _not_below(lower_bound(newest, gates.newest_error_rate), gates.min_gain)
        return rows[shown & _plausible(newest, gates)]

    def promote(self, rows: npt.NDArray[np.int64], night: int, quality: float, margin: float) -> None:
        """The candidate is the champion of these repetitions."""
        self.num_promotions[rows] += 1
        self.num_false[rows] += quality <= self.champion[rows] - margin
        for row in rows[quality > self.champion[rows]]:
            if self.waited[row] is None:
                self.waited[row] = int(night - self.first_better[row] + 1)
        self.champion[rows] = quality
        self.champion_errors[rows] = self.errors[rows]

    def result(self) -> Simulation:
        """What was counted."""
        return Simulation(
            num_promotions=tuple(self.num_promotions.tolist()),
            num_false_promotions=tuple(self.num_false.tolist()),
            num_nights_waited=tuple(self.waited),
        )


def _clipped(differences: Values) -> Values:
    return np.clip(differences, -LARGEST_SCORE, LARGEST_SCORE)


def _not_below(bounds: Values, allowed: float) -> npt.NDArray[np.bool_]:
    return np.asarray(bounds >= allowed - ROUNDING)


def _plausible(differences: Values, gates: GatesConfig) -> npt.NDArray[np.bool_]:
    return np.asarray(differences.mean(axis=-1) <= gates.implausible_gain + ROUNDING)
