"""Settings of searches: the space, what its points cost, how they are tried, which one is the answer."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass, replace
from typing import Any

from pipeline.config.errors import Mistakes, UserError
from pipeline.config.option import check_relations, option, relation
from pipeline.config.sections.export import VARIANTS
from pipeline.config.sections.model import ArchitectureConfig
from pipeline.config.sections.recipe import WEIGHT_BITS
from pipeline.config.sections.sweep import StudentConfig, check_students

TORCH = "torch"  # among the runtimes; the others are exported variants, which ONNX Runtime runs
SIZES = ("size_bytes", "parameters")
INFERENCES = ("operations", "latency_ms")
# A setting of a space of models -> the same of an architecture.
OF_ARCHITECTURE = {
    "encoder_layers": "encoder_layers",
    "decoder_layers": "decoder_layers",
    "heads": "num_heads",
    "hidden": "d_model",
    "intermediate": "ffn_dim",
}


@dataclass(frozen=True, kw_only=True)
class StudentSpaceConfig:
    """Students cut from the teacher: every combination of what is listed."""

    encoder_layers: list[int] = option(lambda: [6, 3], "depths of the encoder")
    decoder_layers: list[int] = option(lambda: [3, 1], "depths of the decoder; empty for an encoder alone")
    heads: list[float] = option(lambda: [1.0], "parts of the attention heads that are kept")
    weight_bits: list[float] = option(lambda: [8, 2], f"bits of linear layers, of {WEIGHT_BITS}")
    embedding_bits: list[float] = option(lambda: [8, 2], f"bits of the token table, of {WEIGHT_BITS}")
    activation_bits: int = option(8, "bits of activations, of all students")
    bits: dict[str, list[str]] = option(
        dict,
        "label -> bits of single modules by name pattern, as in recipe.quantization.bits; an empty list under a label "
        "is a student without; no label: all without",
    )

    def __post_init__(self) -> None:
        check_relations(self)

    @relation("encoder_layers", "decoder_layers", "heads", "weight_bits", "embedding_bits", "activation_bits", "bits")
    def _points_are_possible(self) -> None:
        mistakes = Mistakes()
        for name in ("encoder_layers", "heads", "weight_bits", "embedding_bits"):
            with mistakes.noted():
                _check_values(f"search.students.{name}", getattr(self, name))
        with mistakes.noted():
            _check_values("search.students.decoder_layers", self.decoder_layers, may_be_empty=True)
        mistakes.tell()
        with mistakes.noted():
            check_students("search.students.heads", "heads", self.heads)
        with mistakes.noted():
            check_students("search.students.encoder_layers and decoder_layers", "depth", self._depths())
        with mistakes.noted():
            check_students("search.students: weight, embedding and activation bits", "scheme", self._schemes())
        mistakes.tell()

    def points(self) -> list[StudentConfig]:
        """Every combination, once."""
        return [
            StudentConfig(
                scheme=scheme,
                depth=depth,
                heads=heads,
                label=label,
                recipe={"quantization": {"bits": bits}} if bits else {},
            )
            for depth, heads, scheme, (label, bits) in itertools.product(
                self._depths(),
                self.heads,
                self._schemes(),
                self.bits.items() or [("", [])],
            )
        ]

    def _depths(self) -> list[str]:
        if not self.decoder_layers:
            return [str(layers) for layers in self.encoder_layers]
        pairs = itertools.product(self.encoder_layers, self.decoder_layers)
        return [f"{encoder}-{decoder}" for encoder, decoder in pairs]

    def _schemes(self) -> list[str]:
        pairs = itertools.product(self.weight_bits, self.embedding_bits)
        return [f"{weights:g}-{embeddings:g}-{self.activation_bits}" for weights, embeddings in pairs]


@dataclass(frozen=True, kw_only=True)
class ModelSpaceConfig:
    """Models from scratch: every combination of what is listed whose heads divide its width."""

    encoder_layers: list[int] = option(lambda: [2, 4], "depths of the encoder")
    decoder_layers: list[int] = option(lambda: [1, 2], "depths of the decoder; empty for an encoder alone")
    heads: list[int] = option(lambda: [2, 4], "attention heads of every layer")
    hidden: list[int] = option(lambda: [64, 128], "widths of the model")
    intermediate: list[int] = option(lambda: [128, 256], "widths between the matrices of a feed-forward layer")
    maximum: dict[str, int] = option(
        dict,
        "the maximum point T as an architecture, {encoder_layers: 24, heads: 16, hidden: 1024, intermediate: 4096}; "
        "empty: the largest costs of the space",
    )
    named: dict[str, dict[str, int]] = option(
        dict, "label -> an architecture that is shown and ranked beside the answer; it is not tried for being here"
    )

    def __post_init__(self) -> None:
        check_relations(self)

    @relation("encoder_layers", "decoder_layers", "heads", "hidden", "intermediate", "maximum", "named")
    def _points_are_possible(self) -> None:
        mistakes = Mistakes()
        for name in OF_ARCHITECTURE:
            with mistakes.noted():
                _check_values(f"search.models.{name}", getattr(self, name), may_be_empty=name == "decoder_layers")
        for heads in self.heads:
            if self.hidden and heads > 0 and all(width % heads for width in self.hidden):
                mistakes.add(
                    UserError(
                        f"search.models.heads: {heads} heads, which divide none of the widths {self.hidden}",
                        "heads that divide at least one width",
                        "change search.models.heads or hidden",
                    )
                )
        if "T" in self.named:
            error = UserError(
                "search.models.named: a point called T",
                "another name: T is the maximum point",
                "set search.models.maximum",
            )
            mistakes.add(error)
        for key, given in [("maximum", self.maximum), *((f"named.{name}", one) for name, one in self.named.items())]:
            with mistakes.noted():
                self._check_architecture(f"search.models.{key}", given)
        mistakes.tell()

    def _check_architecture(self, key: str, given: dict[str, int]) -> None:
        if not given:
            return
        needed = [name for name in OF_ARCHITECTURE if name != "decoder_layers" or self.decoder_layers]
        if set(given) != set(needed) or not all(value > 0 for value in given.values()):
            raise UserError(f"{key}={given}", f"positive numbers for {', '.join(needed)}", f"change {key}")
        if given["hidden"] % given["heads"]:
            raise UserError(
                f"{key}: {given['heads']} heads in a width of {given['hidden']}", "heads that divide it", f"set {key}"
            )

    def points(self) -> list[dict[str, int]]:
        """Every combination that can be built, as architectural parameter -> value."""
        names = [name for name in OF_ARCHITECTURE if getattr(self, name)]
        combined = itertools.product(*(getattr(self, name) for name in names))
        points = [dict(zip(names, values, strict=True)) for values in combined]
        return [point for point in points if point["hidden"] % point["heads"] == 0]


def architecture_of(point: dict[str, int], base: ArchitectureConfig) -> ArchitectureConfig:
    """The model of a point of a space.

    Args:
        point: architectural parameter -> value.
        base: what the space does not say: positions, initialisation.
    """
    return replace(base, **{OF_ARCHITECTURE[name]: value for name, value in point.items()})


@dataclass(frozen=True, kw_only=True)
class MixedBitsConfig:
    """Bits of one student module by module, as a budget of bytes allows."""

    depth: str = option("6-3", "encoder-decoder layers of the student")
    bits: list[float] = option(lambda: [1, 2, 3, 4, 8], f"what a module may have, of {WEIGHT_BITS}")
    activation_bits: int = option(8, "bits of activations")
    max_mib: float = option(0.8, "most MiB on disk of the packed student", minimum=0.0)
    num_examples: int = option(256, "validation examples that sensitivities are measured on", minimum=1)

    def __post_init__(self) -> None:
        check_relations(self)

    @relation("depth", "bits", "activation_bits")
    def _students_are_possible(self) -> None:
        mistakes = Mistakes()
        with mistakes.noted():
            check_students("search.mixed.depth", "depth", [self.depth])
        with mistakes.noted():
            _check_values("search.mixed.bits", self.bits)
            schemes = [f"{bits:g}-{bits:g}-{self.activation_bits}" for bits in self.bits]
            check_students("search.mixed.bits and activation_bits", "scheme", schemes)
        mistakes.tell()


@dataclass(frozen=True, kw_only=True)
class LatencyConfig:
    """How the milliseconds of candidates are measured."""

    source_tokens: int = option(128, "source tokens of a sequence", minimum=1)
    new_tokens: int = option(32, "greedy tokens generated for each; a classifier generates none", minimum=2)
    batch: int = option(1, "sequences at once", minimum=1)
    threads: int = option(1, "threads of a model", minimum=1)
    runtimes: list[str] = option(
        lambda: ["fast", TORCH],
        f"what runs them: {TORCH}: the package; {', '.join(VARIANTS)}: its graphs of that variant in ONNX Runtime",
    )
    rounds: int = option(7, "samples of every candidate that count", minimum=1)
    sample_seconds: float = option(0.2, "a sample repeats what it times for at least so long", minimum=0.0)
    chunk: int = option(
        6, "candidates that take turns; beside them always the same one, by whose times chunks are compared", minimum=1
    )
    max_measured: int = option(
        0, "most candidates that are measured; a model fitted to them tells the others' times; 0: no times", minimum=0
    )
    max_other_load: float = option(
        0.15, "cores that other processes may use during a sample beyond those that the threads leave free", minimum=0.0
    )
    timeout_seconds: float = option(600.0, "how long a model may be silent before it counts as lost", minimum=1.0)

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
    )
    max_mib: float | None = option(None, "most MiB on disk of the answer; the least error within is then the best")
    max_ms: float | None = option(None, "most milliseconds of the answer on this machine; likewise")
    brute_force_points: int = option(
        0,
        "spaces of at most so many points are tried whole, besides, and the answer is put beside the optimum",
        minimum=0,
    )
    latency: LatencyConfig = option(LatencyConfig, "milliseconds of candidates")
    num_chosen: int = option(1, "how many points a sweep trains: the answer and the next best", minimum=1)
    group_size: int | None = option(
        None,
        "most candidates that share a teacher pass; none: as many as a worker's memory holds and leave no worker idle",
        minimum=1,
        changes_results=False,
    )
    max_hours: float = option(
        24.0, "a search whose training would take longer, as estimated, is refused", minimum=0.0, changes_results=False
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
            _check_values("search.learning_rates", self.learning_rates)

    @relation("seeds")
    def _seeds_are_distinct(self) -> None:
        if isinstance(self.seeds, int):
            if self.seeds < 1:
                raise UserError(f"search.seeds={self.seeds}", "a number from 1 on, or a list", "change search.seeds")
        elif len(set(self.seeds)) != len(self.seeds) or any(seed < 0 for seed in self.seeds):
            raise UserError(f"search.seeds={self.seeds}", "distinct numbers from 0 on", "change search.seeds")

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
        if isinstance(self.seeds, int):
            return list(range(first, first + self.seeds))
        return self.seeds or [first]


def _check_values(key: str, values: list[Any], may_be_empty: bool = False) -> None:
    """Refuse a list that holds nothing, something twice, or a number that is not above 0."""
    if not values and may_be_empty:
        return
    if not values or len(set(values)) != len(values) or not all(value > 0 for value in values):
        reason = "is empty" if not values else "is no list of distinct numbers above 0"
        raise UserError(f"{key}={values} {reason}", "one or more numbers above 0, each once", f"set {key}")
