"""Settings of searches: the space, what its points cost, how they are tried, which one is the answer."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pipeline.config.bounds import (
    LARGEST_SEED,
    LARGEST_SIZE,
    MOST_LISTED,
    MOST_SECONDS,
    MOST_THREADS,
    check_combinations,
)
from pipeline.config.errors import UserError
from pipeline.config.option import check_relations, option, relation
from pipeline.config.sections.export import VARIANTS
from pipeline.config.sections.search_space import (
    MixedBitsConfig,
    ModelSpaceConfig,
    StudentSpaceConfig,
    check_values,
)
from pipeline.config.sections.sweep import check_seeds, listed_seeds, num_seeds

TORCH = "torch"  # among the runtimes; the others are exported variants, which ONNX Runtime runs
SIZES = ("size_bytes", "parameters")
INFERENCES = ("operations", "latency_ms")


@dataclass(frozen=True, kw_only=True)
class LatencyConfig:
    """How the milliseconds of candidates are measured."""

    source_tokens: int = option(128, "source tokens of a sequence", minimum=1, maximum=LARGEST_SIZE)
    new_tokens: int = option(
        32, "greedy tokens generated for each; a classifier generates none", minimum=2, maximum=LARGEST_SIZE
    )
    batch: int = option(1, "sequences at once", minimum=1, maximum=MOST_LISTED)
    threads: int = option(1, "threads of a model", minimum=1, maximum=MOST_THREADS)
    runtimes: list[str] = option(
        lambda: ["fast", TORCH],
        f"what runs them: {TORCH}: the package; {', '.join(VARIANTS)}: its graphs of that variant in ONNX Runtime",
    )
    rounds: int = option(7, "samples of every candidate that count", minimum=1)
    sample_seconds: float = option(
        0.2, "a sample repeats what it times for at least so long", minimum=0.0, maximum=MOST_SECONDS
    )
    chunk: int = option(
        6, "candidates that take turns; beside them always the same one, by whose times chunks are compared", minimum=1
    )
    max_measured: int = option(
        0, "most candidates that are measured; a model fitted to them tells the others' times; 0: no times", minimum=0
    )
    max_other_load: float = option(
        0.15, "cores that other processes may use during a sample beyond those that the threads leave free", minimum=0.0
    )
    timeout_seconds: float = option(
        600.0, "how long a model may be silent before it counts as lost", minimum=1.0, maximum=MOST_SECONDS
    )

    def __post_init__(self) -> None:
        check_relations(self)

    @relation("runtimes")
    def _runtimes_are_known(self) -> None:
        allowed = (TORCH, *VARIANTS)
        if not self.runtimes or len(set(self.runtimes)) < len(self.runtimes) or set(self.runtimes) - set(allowed):
            raise UserError(
                f"search.latency.runtimes={self.runtimes}",
                f"one or more of {', '.join(allowed)}, each once",
                "set search.latency.runtimes",
            )

    @relation("max_measured")
    def _a_model_can_be_fitted(self) -> None:
        if self.max_measured == 1:
            raise UserError(
                "search.latency.max_measured=1",
                "0, or 2 and more, so that a latency model can be fitted",
                "set search.latency.max_measured",
            )


@dataclass(frozen=True, kw_only=True)
class SearchConfig:
    """What is searched, how its points are tried, and which one is the answer."""

    name: str = option(
        "", "what a sweep calls it (sweep.search=<name>); empty: its key", is_literal=True, changes_results=False
    )
    kind: str = option(
        "students",
        "students: cut from the teacher and quantized; models: from scratch; mixed_bits: the bits of every module of "
        "one student",
        allowed=("students", "models", "mixed_bits"),
    )
    students: StudentSpaceConfig = option(StudentSpaceConfig, "the space of the kind students")
    models: ModelSpaceConfig = option(ModelSpaceConfig, "the space of the kind models")
    mixed: MixedBitsConfig = option(MixedBitsConfig, "the kind mixed_bits")
    size: str = option("size_bytes", "p of W: bytes of the weights on disk, or parameters", allowed=SIZES)
    inference: str = option(
        "operations",
        "i of W: operations of a forward pass, or milliseconds, measured and, where there are too many, predicted",
        allowed=INFERENCES,
    )
    eps: int = option(2, "interval of the cover: every eps-th candidate is tried; 1: all", minimum=1)
    steps: list[int] = option(
        lambda: [3], "optimiser steps after which candidates are compared, rising; the last is what errors are after"
    )
    rule: str = option(
        "cover",
        "cover: the whole cover is trained for all steps, as published; halving: after each of the steps but the last "
        "only the best `keep` go on",
        allowed=("cover", "halving"),
    )
    keep: float = option(0.5, "halving: part of the candidates that goes on, rounded up", minimum=0.0, maximum=1.0)
    measure: str = option(
        "loss",
        "error: loss: cross-entropy on the validation split; score: 100 less the task's headline metric there",
        allowed=("loss", "score"),
    )
    distil: bool = option(True, "false: candidates learn from references alone, no teacher")
    learning_rates: list[float] = option(list, "hyper-parameters that are tried; empty: student.learning_rate alone")
    seeds: int | list[int] = option(
        list,
        "errors are means over these seeds; a number n: seed, seed+1, ... n of them; empty: `seed` alone",
        maximum=LARGEST_SEED,
    )
    max_mib: float | None = option(None, "most MiB on disk of the answer; the least error within is then the best")
    max_ms: float | None = option(None, "most milliseconds of the answer on this machine; likewise")
    brute_force_points: int = option(
        0,
        "spaces of at most so many points are tried whole, besides, and the answer is put beside the optimum",
        minimum=0,
    )
    latency: LatencyConfig = option(LatencyConfig, "milliseconds of candidates")
    training_free: bool = option(
        False,
        "also compute training-free scores of every candidate that is tried, for `benchmark search` to judge; they "
        "decide nothing",
        changes_results=False,
    )
    num_chosen: int = option(1, "how many points a sweep trains: the answer and the next best", minimum=1)
    group_size: int | None = option(
        None,
        "most candidates that share a teacher pass; none: as many as a worker's memory holds and leave no worker idle",
        minimum=1,
        changes_results=False,
    )
    max_hours: float = option(
        24.0,
        "a search whose training would take longer is refused; estimated for one trial after the other on the "
        "processor of the machine that starts the job: workers, their number and their GPUs do not count",
        minimum=0.0,
        changes_results=False,
    )

    def __post_init__(self) -> None:
        check_relations(self)

    @relation("name")
    def _name_is_a_folder(self) -> None:
        if self.name and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}", self.name):
            raise UserError(
                f"search.name='{self.name}'", "letters, digits, '.', '_' and '-', at most 80", "change search.name"
            )

    @relation("steps")
    def _steps_rise(self) -> None:
        if not self.steps or self.steps[0] < 1 or sorted(set(self.steps)) != self.steps:
            raise UserError(f"search.steps={self.steps}", "rising numbers from 1 on", "set search.steps, e.g. [3]")

    @relation("keep")
    def _some_go_on(self) -> None:
        if not 0 < self.keep <= 1:
            raise UserError(f"search.keep={self.keep}", "above 0, at most 1", "change search.keep")

    @relation("rule", "steps")
    def _halving_has_steps(self) -> None:
        if self.rule == "halving" and len(self.steps) < 2:
            raise UserError(
                f"search.rule=halving with search.steps={self.steps}",
                "two or more numbers of steps: candidates are given up between them",
                "set search.steps, e.g. [10,30,90], or search.rule=cover",
            )

    @relation("learning_rates")
    def _rates_are_possible(self) -> None:
        if self.learning_rates:
            check_values("search.learning_rates", self.learning_rates)

    @relation("seeds", "learning_rates")
    def _seeds_are_distinct(self) -> None:
        check_seeds("search.seeds", self.seeds)
        check_combinations("search.learning_rates and seeds", [len(self.learning_rates), num_seeds(self.seeds)])

    @relation("max_mib", "max_ms")
    def _limits_are_above_zero(self) -> None:
        for name in ("max_mib", "max_ms"):
            if (limit := getattr(self, name)) is not None and limit <= 0:
                raise UserError(f"search.{name}={limit}", "a number above 0", f"set search.{name}=null, or higher")

    @relation("inference", "max_ms", "latency", "kind")
    def _times_that_decide_are_taken(self) -> None:
        needs = "search.inference=latency_ms" if self.inference == "latency_ms" else f"search.max_ms={self.max_ms}"
        if self.times_decide and not self.latency.max_measured:
            raise UserError(
                f"{needs} with search.latency.max_measured=0",
                "2 or more candidates that are measured",
                "set search.latency.max_measured, e.g. to 24",
            )

    @property
    def times_decide(self) -> bool:
        """Whether the order or a limit is about milliseconds."""
        return self.inference == "latency_ms" or self.max_ms is not None

    @property
    def limits(self) -> dict[str, float]:
        """Name of a cost -> the most that the answer may have of it, in the unit of the cost."""
        limits = {} if self.max_mib is None else {"size_bytes": self.max_mib * 2**20}
        return limits if self.max_ms is None else limits | {"latency_ms": self.max_ms}

    def seed_list(self, first: int) -> list[int]:
        """The seeds that every candidate is trained with.

        Args:
            first: the job's seed.
        """
        return listed_seeds(self.seeds, first)
