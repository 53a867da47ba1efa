"""Settings of the benchmarks that compare runtimes and architectures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.config.bounds import LARGEST_SIZE, MOST_LISTED, MOST_SECONDS, MOST_THREADS
from pipeline.config.errors import Mistakes, UserError
from pipeline.config.option import check_relations, option, relation
from pipeline.config.sections.export import VARIANTS
from pipeline.config.sections.sweep import check_students

ATTENTIONS = ("sdpa", "eager")


@dataclass(frozen=True, kw_only=True)
class RuntimeBenchmarkConfig:
    """How fast exported students run beside other runtimes. A cell is a depth, a batch and a number of threads."""

    depths: list[str] = option(lambda: ["6-6", "6-1", "3-1"], "encoder-decoder layers, one cell for each")
    batches: list[int] = option(lambda: [1, 8], "sources decoded together, one cell for each", maximum=MOST_LISTED)
    threads: list[int] = option(lambda: [1, 2], "threads of a worker, one cell for each", maximum=MOST_THREADS)
    schemes: list[str] = option(lambda: ["8-8-8", "4-4-8", "2-2-8"], "schemes of the exported students")
    variants: list[str] = option(lambda: list(VARIANTS), f"exported variants, of {', '.join(VARIANTS)}")
    baselines: bool = option(True, "measure other runtimes, too; the fp32 teacher and student are always measured")
    source_tokens: int = option(256, "source tokens of a sequence", minimum=1, maximum=LARGEST_SIZE)
    new_tokens: int = option(64, "greedy tokens generated for each", minimum=2, maximum=LARGEST_SIZE)
    rounds: int = option(7, "samples of every contender that count", minimum=1)
    sample_seconds: float = option(
        0.4, "a sample repeats what it times for at least so long", minimum=0.0, maximum=MOST_SECONDS
    )
    max_other_load: float = option(
        0.15, "cores that other processes may use during a sample beyond those that the threads leave free", minimum=0.0
    )
    timeout_seconds: float = option(
        600.0, "how long a worker may be silent before it counts as lost", minimum=1.0, maximum=MOST_SECONDS
    )

    def __post_init__(self) -> None:
        check_relations(self)

    @relation("depths")
    def _depths_are_possible(self) -> None:
        check_students("benchmark.runtime.depths", "depth", self.depths)

    @relation("schemes")
    def _schemes_are_possible(self) -> None:
        check_students("benchmark.runtime.schemes", "scheme", self.schemes)

    @relation("batches")
    def _batches_are_counts(self) -> None:
        _check_counts("benchmark.runtime.batches", self.batches)

    @relation("threads")
    def _threads_are_counts(self) -> None:
        _check_counts("benchmark.runtime.threads", self.threads)

    @relation("variants")
    def _variants_are_known(self) -> None:
        _check_known("benchmark.runtime.variants", self.variants, VARIANTS)


@dataclass(frozen=True, kw_only=True)
class EncoderShapeConfig:
    """A BERT-like encoder that classifies, with random weights."""

    name: str = option("bort", "what it is called")
    family: str = option("roberta", "model family", allowed=("bert", "roberta"))
    layers: int = option(4, "layers", minimum=1, maximum=MOST_LISTED)
    heads: int = option(8, "attention heads of a layer", minimum=1, maximum=LARGEST_SIZE)
    hidden: int = option(1024, "width of the residual stream", minimum=4, maximum=LARGEST_SIZE)
    intermediate: int = option(768, "width of the feed-forward layers", minimum=4, maximum=LARGEST_SIZE)
    vocabulary: int = option(50265, "tokens", minimum=300, maximum=LARGEST_SIZE)
    positions: int = option(512, "longest sequence in tokens", minimum=8, maximum=LARGEST_SIZE)
    schemes: list[str] = option(list, "schemes that it is packed in, too, beside fp32")

    def __post_init__(self) -> None:
        check_relations(self)

    @relation("name")
    def _name_is_one_of_a_folder(self) -> None:
        if not self.name or not all(letter.isalnum() or letter in "._-" for letter in self.name) or self.name[0] == ".":
            raise UserError(f"the shape '{self.name}'", "letters, digits, hyphens", "set the name of the shape")

    @relation("heads", "hidden")
    def _heads_divide_the_width(self) -> None:
        if self.hidden % self.heads:
            raise UserError(
                f"shape '{self.name}': {self.heads} heads in a hidden width of {self.hidden}",
                f"a number of heads that divides {self.hidden}",
                "change heads or hidden in benchmark.encoder.shapes",
            )

    @relation("schemes")
    def _schemes_are_possible(self) -> None:
        if self.schemes:
            check_students("benchmark.encoder.shapes[i].schemes", "scheme", self.schemes)


def published_shapes() -> list[EncoderShapeConfig]:
    """BERT's two shapes and Bort's (arXiv 2010.10499), of which Bort is packed, too."""
    return [
        EncoderShapeConfig(
            name="bert-base", family="bert", layers=12, heads=12, hidden=768, intermediate=3072, vocabulary=30522
        ),
        EncoderShapeConfig(
            name="bert-large", family="bert", layers=24, heads=16, hidden=1024, intermediate=4096, vocabulary=30522
        ),
        EncoderShapeConfig(schemes=["8-8-8", "2-2-8"]),
    ]


@dataclass(frozen=True, kw_only=True)
class EncoderBenchmarkConfig:
    """How long encoders of several shapes take. A cell is a length, a batch and a number of threads."""

    shapes: list[EncoderShapeConfig] = option(published_shapes, "the encoders")
    references: list[str] = option(
        lambda: ["bert-base", "bert-large"], "names of shapes that all are compared to, in time and in multiplications"
    )
    lengths: list[int] = option(lambda: [32, 128, 512], "tokens of a sequence, one cell for each", maximum=LARGEST_SIZE)
    batches: list[int] = option(lambda: [1], "sequences of a forward pass, one cell for each", maximum=MOST_LISTED)
    threads: list[int] = option(lambda: [1, 2], "threads of a worker, one cell for each", maximum=MOST_THREADS)
    attentions: list[str] = option(
        lambda: list(ATTENTIONS), f"attention in transformers, of {', '.join(ATTENTIONS)}; sdpa is its default"
    )
    variants: list[str] = option(
        lambda: ["exact", "openvino"],
        f"exported variants of packed shapes, of {', '.join(VARIANTS)}; of an encoder `fast` is `exact`",
    )
    rounds: int = option(7, "samples of every contender that count", minimum=1)
    sample_seconds: float = option(
        0.4, "a sample repeats what it times for at least so long", minimum=0.0, maximum=MOST_SECONDS
    )
    max_other_load: float = option(
        0.15, "cores that other processes may use during a sample beyond those that the threads leave free", minimum=0.0
    )
    timeout_seconds: float = option(
        600.0, "how long a worker may be silent before it counts as lost", minimum=1.0, maximum=MOST_SECONDS
    )

    def __post_init__(self) -> None:
        check_relations(self)

    @relation("shapes")
    def _shapes_have_names_of_their_own(self) -> None:
        names = [shape.name for shape in self.shapes]
        if not names or len(set(names)) != len(names):
            raise UserError(
                f"benchmark.encoder.shapes has the names {names}", "at least one, distinct names", "name the shapes"
            )

    @relation("shapes", "references")
    def _references_are_shapes(self) -> None:
        _check_known("benchmark.encoder.references", self.references, [shape.name for shape in self.shapes])

    @relation("lengths", "shapes")
    def _lengths_have_positions(self) -> None:
        _check_counts("benchmark.encoder.lengths", self.lengths)
        mistakes, longest = Mistakes(), max(self.lengths)
        for shape in self.shapes:
            if longest > shape.positions:
                mistakes.add(
                    UserError(
                        f"{longest} tokens for the shape '{shape.name}' of {shape.positions} positions",
                        f"at most {shape.positions}",
                        "set benchmark.encoder.lengths, or positions of the shape",
                    )
                )
        mistakes.tell()

    @relation("batches")
    def _batches_are_counts(self) -> None:
        _check_counts("benchmark.encoder.batches", self.batches)

    @relation("threads")
    def _threads_are_counts(self) -> None:
        _check_counts("benchmark.encoder.threads", self.threads)

    @relation("attentions")
    def _attentions_are_known(self) -> None:
        _check_known("benchmark.encoder.attentions", self.attentions, ATTENTIONS)

    @relation("variants")
    def _variants_are_known(self) -> None:
        _check_known("benchmark.encoder.variants", self.variants, VARIANTS)


@dataclass(frozen=True, kw_only=True)
class ParityBenchmarkConfig:
    """How far exported students are from the trained ones; recipes are those of sweep.recipes."""

    schemes: list[str] = option(lambda: ["2-2-8", "4-4-8", "8-8-8", "1-1-8", "3-3-8"], "schemes of the students")
    depth: str = option("3-2", "encoder-decoder layers of the students")
    num_seeds: int = option(3, "models of each kind: with seed, seed+1, ...", minimum=1, maximum=MOST_LISTED)
    num_rows: int = option(4, "sources of different lengths, decoded together", minimum=1, maximum=MOST_LISTED)
    source_tokens: int = option(64, "tokens of the longest source", minimum=2, maximum=LARGEST_SIZE)
    num_steps: int = option(64, "decoding steps, teacher-forced and generated", minimum=1, maximum=MOST_LISTED)

    def __post_init__(self) -> None:
        check_relations(self)

    @relation("schemes")
    def _schemes_are_possible(self) -> None:
        check_students("benchmark.parity.schemes", "scheme", self.schemes)

    @relation("depth")
    def _depth_is_possible(self) -> None:
        check_students("benchmark.parity.depth", "depth", [self.depth])


@dataclass(frozen=True, kw_only=True)
class SearchBenchmarkConfig:
    """How well rankers and search loops do on architectures that were all trained to the end."""

    table: str = option(
        "", "JSONL file, a row a candidate: what pipeline/search/table.py describes, or nas_bench_bert's"
    )
    size: str = option("parameters", "cost of the table that limits and the order of candidates are about")
    inference: str = option("operations", "the other cost that W counts")
    limits: list[float] = option(
        lambda: [0.25, 0.5, 1.0], "parts of the table that a limit on size allows, one goal for each; 1: all of it"
    )
    budgets: list[float] = option(
        lambda: [1.0, 5.0, 10.0, 20.0, 50.0], "what a loop may spend, in whole trainings of a candidate"
    )
    offered: float = option(0.5, "part of the table that a draw offers to all loops", minimum=0.0, maximum=1.0)
    num_seeds: int = option(20, "draws: with seed, seed+1, ...", minimum=1, maximum=MOST_LISTED)
    eta: int = option(2, "successive halving: one of so many goes on", minimum=2)

    def __post_init__(self) -> None:
        check_relations(self)

    @relation("limits")
    def _limits_are_parts(self) -> None:
        if not all(0 < part <= 1 for part in self.limits):
            raise UserError(
                f"benchmark.search.limits={self.limits}", "parts above 0, at most 1", "set benchmark.search.limits"
            )

    @relation("budgets")
    def _budgets_pay_for_an_answer(self) -> None:
        if not self.budgets or not min(self.budgets) >= 1:
            raise UserError(
                f"benchmark.search.budgets={self.budgets}",
                "at least one, each of 1 or more: an answer is trained to the end",
                "set benchmark.search.budgets",
            )


def _check_counts(key: str, values: list[int]) -> None:
    if not values or min(values) < 1:
        raise UserError(f"{key}={values}", "at least one, numbers from 1 on", f"set {key}")


def _check_known(key: str, values: Sequence[str], known: Sequence[str]) -> None:
    if unknown := sorted(set(values) - set(known)):
        raise UserError(f"{key} names '{unknown[0]}'", ", ".join(known), f"set {key}")
