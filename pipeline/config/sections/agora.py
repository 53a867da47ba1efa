"""Settings of Agora: the candidate, its hyper-parameters, which points it learns from anew, what ends it."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from pipeline.config.bounds import LARGEST_SEED, MOST_LISTED, check_combinations
from pipeline.config.errors import UserError
from pipeline.config.option import check_relations, option, relation
from pipeline.config.sections.search_space import check_values
from pipeline.config.sections.sweep import StudentConfig, check_seeds, listed_seeds, num_seeds
from pipeline.config.sections.training import TrainConfig

POOLS = ("development", "training", "unlabelled")
REPEAT = "repeat"  # no generator: the points themselves
TEXT_GENERATORS = ("word_dropout", "word_swap", "mixing")
GENERATORS = (REPEAT, *TEXT_GENERATORS, "span_refill", "back_translation")
RULES = ("published", "prefix", "halving", "keep_all")


@dataclass(frozen=True, kw_only=True)
class ThetaConfig:
    """The hyper-parameter sets: every combination of what is listed; an empty list: that of `student`."""

    learning_rates: list[float] = option(list, "peaks of the learning rate")
    weight_decays: list[float] = option(list, "weight decays")
    warmup_fractions: list[float] = option(list, "parts of the steps with rising learning rate")
    batch_tokens: list[int] = option(list, "tokens of an optimiser step")
    seeds: int | list[int] = option(
        list,
        "seeds of batches and dropout; a number n: seed, seed+1, ... n of them; empty: `seed` alone",
        maximum=LARGEST_SEED,
    )

    def __post_init__(self) -> None:
        check_relations(self)

    @relation("learning_rates", "batch_tokens", "seeds", "weight_decays", "warmup_fractions")
    def _values_are_possible(self) -> None:
        for name in ("learning_rates", "batch_tokens"):
            check_values(f"agora.theta.{name}", getattr(self, name), may_be_empty=True)
        for name, most in (("weight_decays", float("inf")), ("warmup_fractions", 1.0)):
            values = getattr(self, name)
            if len(set(values)) != len(values) or not all(0 <= value <= most for value in values):
                raise UserError(
                    f"agora.theta.{name}={values}", f"distinct numbers from 0 to {most:g}", f"set agora.theta.{name}"
                )
        check_seeds("agora.theta.seeds", self.seeds)
        rates = (self.learning_rates, self.weight_decays, self.warmup_fractions)
        axes = [len(self.batch_tokens), *map(len, rates), num_seeds(self.seeds)]
        check_combinations("agora.theta", axes)

    def sets(self, train: TrainConfig, seed: int) -> list[tuple[TrainConfig, int]]:
        """Every hyper-parameter set as a training and a seed.

        Args:
            train: what is not listed.
            seed: of the job.
        """
        axes: dict[str, list[Any]] = {
            "learning_rate": self.learning_rates,
            "weight_decay": self.weight_decays,
            "warmup_fraction": self.warmup_fractions,
            "batch_tokens": self.batch_tokens,
        }
        listed = {name: values for name, values in axes.items() if values}
        combined = [dict(zip(listed, values, strict=True)) for values in itertools.product(*listed.values())]
        return [(replace(train, **one), number) for one in combined for number in listed_seeds(self.seeds, seed)]


@dataclass(frozen=True, kw_only=True)
class BoundsConfig:
    """How far a generated text may be from the one that it was made of: neither too near nor too far."""

    min_edit: float = option(0.02, "least part of the words that differ", minimum=0.0, maximum=1.0)
    max_edit: float = option(0.8, "most part of the words that differ", minimum=0.0, maximum=1.0)
    min_embedding: float = option(
        0.0, "least distance (1 - cosine) of the teacher's mean encoder states", minimum=0.0, maximum=2.0
    )
    max_embedding: float = option(2.0, "most distance of these states", minimum=0.0, maximum=2.0)
    min_confidence: float = option(
        0.0, "least probability that the teacher gives to its label (of a text: to a token, geometric mean)",
        minimum=0.0, maximum=1.0,
    )  # fmt: skip

    def __post_init__(self) -> None:
        check_relations(self)

    @relation("min_edit", "max_edit", "min_embedding", "max_embedding")
    def _something_is_between(self) -> None:
        for name in ("edit", "embedding"):
            least, most = getattr(self, f"min_{name}"), getattr(self, f"max_{name}")
            if least > most:
                raise UserError(
                    f"agora.bounds.min_{name}={least:g} above max_{name}={most:g}",
                    "the least below the most",
                    f"set agora.bounds.min_{name}",
                )


@dataclass(frozen=True, kw_only=True)
class AgoraConfig:
    """A small model that learns from scarce data, and from what a teacher says of points near its mistakes."""

    KEY_VERSION: ClassVar[int] = 2  # 0.8.0: other defaults of pool and points

    candidate: StudentConfig = option(
        StudentConfig, "the small model C, cut from the teacher, or from `start`; 32-32-32 is not quantized"
    )
    start: str = option(
        "",
        "folder of a small model of the teacher's vocabulary, as jobs/bort_pretrain.py leaves it, that the candidate "
        "is cut from instead of from the teacher",
        is_literal=True,
    )
    theta: ThetaConfig = option(ThetaConfig, "the hyper-parameter sets Theta")
    pool: str = option(
        "training",
        "where points come from: training; development: as published, which leaks it into training; unlabelled: texts "
        "of `unlabelled`",
        allowed=POOLS,
    )
    unlabelled: str = option(
        "", "file of texts for pool=unlabelled, a line each, or with the task's source columns", is_literal=True
    )
    points: str = option(
        "random",
        "which of them: random: as many as `max_points`; mistakes of the best candidate, as published; disagreement "
        "between it and the teacher, for which no labels are needed; all",
        allowed=("mistakes", "disagreement", "random", "all"),
    )
    worst: float = option(
        0.25, "of texts, which are not right or wrong: part with the lowest score", minimum=0.0, maximum=1.0
    )
    max_points: int = option(1000, "most points of a round that are generated from; points=all takes all", minimum=1)
    generators: list[str] = option(
        lambda: ["word_dropout", "word_swap"],
        f"what makes new texts of them, of {', '.join(GENERATORS)}; {REPEAT}: the points themselves, each once",
    )
    num_per_point: int = option(
        2,
        f"texts that each generator is asked for of a point; of {REPEAT} it is the point itself",
        minimum=1,
        maximum=MOST_LISTED,
    )
    rate: float = option(0.15, "part of the words that a generator drops, swaps or masks", minimum=0.0, maximum=1.0)
    refill_model: str = option("", "folder or hub name of the masked LM of span_refill", is_literal=True)
    there: str = option("", "package of a student that translates sources into another language", is_literal=True)
    back: str = option("", "package of a student that translates them back", is_literal=True)
    labels: str = option(
        "teacher", "of new texts: what the teacher says; parent: those of the texts they come from",
        allowed=("teacher", "parent"),
    )  # fmt: skip
    bounds: BoundsConfig = option(BoundsConfig, "what of the new texts is kept")
    max_rounds: int = option(
        3, "rounds; the first one learns from the training split alone", minimum=1, maximum=MOST_LISTED
    )
    max_added: int = option(10_000, "most examples that all rounds together add", minimum=1)
    pruning: str = option(
        "published",
        "which hyper-parameter sets leave after a round: published: those whose order new examples did not change; "
        "prefix: those whose ranks from the first on did not change; halving: the worse half; keep_all: none",
        allowed=RULES,
    )
    patience: int | None = option(
        None, "rounds without a better candidate after which it ends; none: that ends nothing", minimum=1
    )

    def __post_init__(self) -> None:
        check_relations(self)

    @relation("generators")
    def _generators_are_known(self) -> None:
        given = self.generators
        unknown = [name for name in given if name not in GENERATORS]
        if not given or unknown or len(set(given)) != len(given) or (REPEAT in given and len(given) > 1):
            raise UserError(
                f"agora.generators={given}",
                f"one or more of {', '.join(GENERATORS)}, each once; {REPEAT} alone",
                "set agora.generators",
            )

    @relation("generators", "refill_model", "there", "back")
    def _models_of_generators_are_named(self) -> None:
        needs = {"span_refill": ("refill_model",), "back_translation": ("there", "back")}
        for generator, names in needs.items():
            for name in names:
                if (generator in self.generators) != bool(getattr(self, name)):
                    wants = generator in self.generators
                    raise UserError(
                        f"agora.generators={self.generators} {'without' if wants else 'with'} agora.{name}",
                        f"agora.{name} together with {generator}",
                        f"set agora.{name}" if wants else f"leave agora.{name} out, or add {generator}",
                    )

    @relation("pool", "unlabelled", "points", "labels")
    def _points_can_be_found(self) -> None:
        if (self.pool == "unlabelled") != bool(self.unlabelled):
            raise UserError(
                f"agora.pool={self.pool} with agora.unlabelled='{self.unlabelled}'",
                "pool=unlabelled together with a file of texts",
                "set agora.unlabelled and agora.pool=unlabelled, or neither",
            )
        if self.pool == "unlabelled" and (self.points == "mistakes" or self.labels == "parent"):
            raise UserError(
                f"agora.pool=unlabelled with agora.points={self.points} and agora.labels={self.labels}",
                "points=disagreement, random or all, and labels=teacher: nothing is known of these texts",
                "set agora.points and agora.labels",
            )

    @property
    def contaminates(self) -> bool:
        """Whether points of the development set get into training, so that scores on it flatter."""
        return self.pool == "development" and self.max_rounds > 1
