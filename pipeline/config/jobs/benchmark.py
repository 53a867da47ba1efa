"""Settings of the job `benchmark`."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.config.bounds import LARGEST_SEED, LARGEST_SIZE, MOST_LISTED
from pipeline.config.errors import UserError
from pipeline.config.option import check_relations, option, relation, section
from pipeline.config.sections.benchmark import (
    EncoderBenchmarkConfig,
    ParityBenchmarkConfig,
    RuntimeBenchmarkConfig,
    SearchBenchmarkConfig,
)
from pipeline.config.sections.cluster import ClusterConfig
from pipeline.config.sections.evaluation import EvaluationConfig
from pipeline.config.sections.model import ModelConfig
from pipeline.config.sections.recipe import RecipeConfig
from pipeline.config.sections.storage import StorageConfig
from pipeline.config.sections.sweep import SweepConfig, check_students
from pipeline.config.sections.training import TrainConfig


@dataclass(frozen=True, kw_only=True)
class BenchmarkConfig:
    """What is measured, and on what."""

    kind: str = option(
        "generation",
        "generation: weights quantized once or at every step; cohort: one teacher pass for all students, or one each; "
        "runtime: exported students beside other runtimes; parity: what they say beside what the trained ones say; "
        "encoder: encoders of several shapes, in fp32 and packed; "
        "search: rankers and search loops on a table of trained architectures",
        allowed=("generation", "cohort", "runtime", "parity", "encoder", "search"),
        place=0,
    )
    shapes: dict[str, dict[str, int]] = option(
        dict, "by kind: what conf/benchmark.yaml sets model.vocab_size and model.architecture to", maximum=LARGEST_SIZE
    )
    scheme: str = option("2-2-8", "scheme of the students")
    source_tokens: int = option(128, "source tokens of a sequence", minimum=1, maximum=LARGEST_SIZE)
    depth: str = option("6-3", "generation: encoder-decoder layers of the student")
    num_examples: int = option(5, "generation: sequences that are timed", minimum=1, maximum=MOST_LISTED)
    new_tokens: int = option(16, "generation: tokens generated for each", minimum=2, maximum=LARGEST_SIZE)
    depths: list[str] = option(
        lambda: ["6-3", "3-1", "1-1"], "cohort: encoder-decoder layers of the students, one cohort of each"
    )
    num_students: int = option(4, "cohort: students of a cohort", minimum=1, maximum=MOST_LISTED)
    scaling: list[int] = option(
        lambda: [1, 2, 8], "cohort: further numbers of students, of the last of the depths", maximum=MOST_LISTED
    )
    batch_examples: int = option(8, "cohort: sequences of an optimiser step", minimum=1, maximum=MOST_LISTED)
    target_tokens: int = option(32, "cohort: target tokens of a sequence", minimum=1, maximum=LARGEST_SIZE)
    num_steps: int = option(4, "cohort: optimiser steps that are timed, of either kind", minimum=1, maximum=MOST_LISTED)
    runtime: RuntimeBenchmarkConfig = option(RuntimeBenchmarkConfig, "kind runtime")
    parity: ParityBenchmarkConfig = option(ParityBenchmarkConfig, "kind parity")
    encoder: EncoderBenchmarkConfig = option(EncoderBenchmarkConfig, "kind encoder, whose shapes are its own")
    search: SearchBenchmarkConfig = option(SearchBenchmarkConfig, "kind search")

    def __post_init__(self) -> None:
        check_relations(self)

    @relation("depth")
    def _depth_is_possible(self) -> None:
        check_students("benchmark.depth", "depth", [self.depth])

    @relation("depths")
    def _depths_are_possible(self) -> None:
        check_students("benchmark.depths", "depth", self.depths)

    @relation("scheme")
    def _scheme_is_possible(self) -> None:
        check_students("benchmark.scheme", "scheme", [self.scheme])

    @relation("scaling")
    def _scaling_counts_students(self) -> None:
        if any(number < 1 for number in self.scaling):
            raise UserError(f"benchmark.scaling={self.scaling}", "numbers from 1 on", "set benchmark.scaling")


@dataclass(frozen=True, kw_only=True)
class BenchmarkJob:
    """Measurements side by side in one run, on models with random weights."""

    seed: int = option(28, "seed of weights and tokens", minimum=0, maximum=LARGEST_SEED)
    model: ModelConfig = section(
        ModelConfig, "the teacher's architecture", is_group=True, without=["pretrained", "tokenizer"]
    )
    recipe: RecipeConfig = section(
        RecipeConfig, "how students are made", is_group=True, without=["pruning", "sequence"]
    )
    cluster: ClusterConfig = section(
        ClusterConfig,
        "where it runs: in one process",
        is_group=True,
        without=["address", "cpus_per_worker", "zero_stage", "max_failures", "wait_seconds", "lost_node_seconds"],
    )
    student: TrainConfig = section(
        TrainConfig,
        "training of students in the kind cohort",
        without=[
            *("epochs", "max_steps", "batch_tokens"),
            *("log_every_steps", "validate_every_epochs", "checkpoint_every_steps"),
        ],
    )
    sweep: SweepConfig = section(SweepConfig, "recipes of the kind parity", only=["recipes", "variants"])
    evaluation: EvaluationConfig = section(EvaluationConfig, "how sequences are batched", only=["batch_tokens"])
    benchmark: BenchmarkConfig = section(BenchmarkConfig, "what is measured")
    storage: StorageConfig = section(StorageConfig, "where results of the kinds runtime and encoder lie")
