"""Agora (arXiv 2010.07990): learn from what is like one's mistakes, labelled by somebody who knows better.

The loop knows nothing of texts, models and files. It is handed who learns, who labels and who generates; given the same
parts that give the same answers it does the same. So a job that remembers its parts' answers can begin again at the
beginning, and is soon where it was.

The published loop has no end but an empty Theta. Settled here: a limit of rounds, a budget of examples, an end where
nothing can be added, and patience. The last round adds nothing, as nobody would learn from it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, Protocol, TypeVar

from pipeline.augmentation.pruning_rule import RULES
from pipeline.config.errors import UserError

Example = TypeVar("Example")


class Learner(Protocol[Example]):
    """Candidates: models that are trained afresh in every round, one for every theta."""

    def fit(self, round_number: int, thetas: Sequence[int], added: Sequence[Example]) -> Sequence[float]:
        """Train a fresh candidate for every theta on the training set and what was added.

        Args:
            round_number: from 1.
            thetas: numbers of the hyper-parameters.
            added: all that was added so far, in order.

        Returns:
            The accuracy of each on the development set, 0 to 1; nan: its training failed.
        """
        ...

    def mistakes(self, round_number: int, theta: int) -> Sequence[Example]:
        """What this round's candidate of a theta gets wrong, or what else new examples shall be like."""
        ...


class Generator(Protocol[Example]):
    """Timaeus: new examples near others."""

    def __call__(self, round_number: int, points: Sequence[Example]) -> Sequence[Example]:
        """Examples near the points, none of them known yet, without labels that could be trusted."""
        ...


class Labeller(Protocol[Example]):
    """Socrates: a model that is right more often than two times in three."""

    def __call__(self, round_number: int, points: Sequence[Example]) -> Sequence[Example]:
        """The points with labels; those that it refuses are left out."""
        ...


class Stop(StrEnum):
    """Why the loop ended."""

    ALL_FAILED = "the training of every theta failed"
    NO_MISTAKES = "nothing is left to learn from: no mistakes of the best candidate, or no disagreement with it"
    NO_THETA = "no theta is left"
    MAX_ROUNDS = "the rounds are used up"
    NO_IMPROVEMENT = "the best accuracy rose no more"
    BUDGET = "the budget of examples is used up"
    NOTHING_NEW = "nothing new was generated"
    NOTHING_LABELLED = "the labeller refused all that was generated"


@dataclass(frozen=True, kw_only=True)
class AgoraSettings:
    """When to stop, and what to give up.

    Args:
        max_rounds: trainings of Theta.
        max_added: examples that may be added in all rounds together.
        rule: which thetas a round deletes, a name in `RULES`.
        patience: rounds one after another without improvement after which the loop ends; none: that is no reason.
        min_improvement: of the best accuracy so far; less counts as none.

    Raises:
        UserError: a number is too small, or there is no such rule.
    """

    max_rounds: int
    max_added: int
    rule: str = "published"
    patience: int | None = None
    min_improvement: float = 0.0

    def __post_init__(self) -> None:
        for name, least in (("max_rounds", 1), ("max_added", 0), ("patience", 1), ("min_improvement", 0)):
            value = getattr(self, name)
            if value is not None and not value >= least:
                raise UserError(f"{name}={value}", f"{least} or more", f"{name}.")
        if self.rule not in RULES:
            raise UserError(f"The pruning rule {self.rule!r}", ", ".join(RULES), "the rule.")


@dataclass(frozen=True, kw_only=True)
class Best:
    """The candidate with the highest accuracy of all rounds; of equal ones the first."""

    round_number: int
    theta: int
    accuracy: float


@dataclass(frozen=True, kw_only=True)
class Round:
    """What a round did.

    Args:
        number: from 1.
        ranking: thetas by accuracy, best first; of equal ones the lower number first, failed ones last.
        accuracies: of each theta on the development set, in the order of the ranking; nan: it failed.
        num_mistakes: of the best.
        num_generated: what the generator gave.
        num_added: of these, after the budget and the labeller.
        pruned: thetas that were given up, in the order of the ranking.
    """

    number: int
    ranking: tuple[int, ...]
    accuracies: tuple[float, ...]
    num_mistakes: int
    num_generated: int
    num_added: int
    pruned: tuple[int, ...]

    @property
    def best(self) -> int:
        """The theta that ranks first."""
        return self.ranking[0]


@dataclass(frozen=True, kw_only=True)
class AgoraResult:
    """What the loop did.

    Args:
        rounds: all of them.
        best: the best candidate; none where every training failed.
        stop: why the loop ended.
    """

    rounds: tuple[Round, ...]
    best: Best | None
    stop: Stop


# Hears of every round when it is over, and of what it added.
Listener = Callable[[Round, Sequence[Example]], None]


def agora(
    learner: Learner[Example],
    labeller: Labeller[Example],
    generator: Generator[Example],
    *,
    num_thetas: int,
    settings: AgoraSettings,
    listener: Listener[Example] = lambda *_: None,
) -> AgoraResult:
    """Train every theta, add labelled examples near the mistakes of the best, prune Theta, and again.

    Accuracy is that on the development set, of whose mistakes candidates learn from the second round on: it chooses
    among them, as published, and says too much of how good they are.

    Args:
        learner: trains candidates.
        labeller: labels what was generated.
        generator: makes examples near the mistakes.
        num_thetas: hyper-parameters are the numbers below it; 1 or more.
        settings: when to stop, and what to give up.
        listener: hears of every round.

    Raises:
        UserError: there is no theta.
    """
    if num_thetas < 1:
        raise UserError(f"{num_thetas} sets of hyper-parameters", "1 or more", "the hyper-parameters that are tried.")
    loop = _Loop(learner, labeller, generator, num_thetas, settings)
    while (stop := loop.play(listener)) is None:
        pass
    return AgoraResult(rounds=tuple(loop.rounds), best=loop.best, stop=stop)


class _Loop(Generic[Example]):
    """Where the loop is: thetas that are left, what was added, what the rounds were."""

    def __init__(
        self,
        learner: Learner[Example],
        labeller: Labeller[Example],
        generator: Generator[Example],
        num_thetas: int,
        settings: AgoraSettings,
    ) -> None:
        self._learner, self._labeller, self._generator, self._settings = learner, labeller, generator, settings
        self._thetas = list(range(num_thetas))
        self._added: list[Example] = []
        self._num_without_improvement = 0
        self.rounds: list[Round] = []
        self.best: Best | None = None

    def play(self, listener: Listener[Example]) -> Stop | None:
        """Another round; why it was the last, if it was."""
        number = len(self.rounds) + 1
        accuracies = dict(zip(self._thetas, self._learner.fit(number, self._thetas, tuple(self._added)), strict=True))
        ranking = ranked(accuracies)
        pruned = self._prune(ranking, accuracies)
        self._compare(number, ranking[0], accuracies[ranking[0]])
        failed = math.isnan(accuracies[ranking[0]])
        mistakes = () if failed else self._learner.mistakes(number, ranking[0])
        stop = Stop.ALL_FAILED if failed else self._end(number, len(mistakes))
        generated = () if stop else self._generator(number, mistakes)
        room = self._settings.max_added - len(self._added)
        labelled = self._labeller(number, generated[:room]) if generated else ()
        if not stop and not labelled:
            stop = Stop.NOTHING_LABELLED if generated else Stop.NOTHING_NEW
        self._added += labelled
        self.rounds.append(
            Round(
                number=number,
                ranking=tuple(ranking),
                accuracies=tuple(accuracies[theta] for theta in ranking),
                num_mistakes=len(mistakes),
                num_generated=len(generated),
                num_added=len(labelled),
                pruned=tuple(pruned),
            )
        )
        listener(self.rounds[-1], labelled)
        return stop

    def _prune(self, ranking: list[int], accuracies: dict[int, float]) -> list[int]:
        """Give up the failed ones, and of the others those that the rule says."""
        working = [theta for theta in ranking if not math.isnan(accuracies[theta])]
        before = self.rounds[-1].ranking if self.rounds else None
        kept = set(working) - set(RULES[self._settings.rule](working, before))
        self._thetas = [theta for theta in self._thetas if theta in kept]
        return [theta for theta in ranking if theta not in kept]

    def _compare(self, number: int, theta: int, accuracy: float) -> None:
        """Remember the best of all rounds, and since when it has not improved by enough."""
        if math.isnan(accuracy):
            return
        gain = math.inf if self.best is None else accuracy - self.best.accuracy
        if gain > 0:
            self.best = Best(round_number=number, theta=theta, accuracy=accuracy)
        enough = gain > 0 and gain >= self._settings.min_improvement
        self._num_without_improvement = 0 if enough else self._num_without_improvement + 1

    def _end(self, number: int, num_mistakes: int) -> Stop | None:
        """Why nothing more is to be generated, if so."""
        patience = self._settings.patience
        reasons: list[tuple[bool, Stop]] = [
            (num_mistakes == 0, Stop.NO_MISTAKES),
            (not self._thetas, Stop.NO_THETA),
            (number >= self._settings.max_rounds, Stop.MAX_ROUNDS),
            (patience is not None and self._num_without_improvement >= patience, Stop.NO_IMPROVEMENT),
            (len(self._added) >= self._settings.max_added, Stop.BUDGET),
        ]
        return next((stop for holds, stop in reasons if holds), None)


def ranked(accuracies: dict[int, float]) -> list[int]:
    """Thetas by accuracy, best first; of equal ones the lower number first, failed ones (nan) last."""
    failed = {theta for theta, accuracy in accuracies.items() if math.isnan(accuracy)}
    return [*sorted(accuracies.keys() - failed, key=lambda theta: (-accuracies[theta], theta)), *sorted(failed)]
