"""Settings of spaces: which students, which models from scratch, which bits of modules are searched."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import Any

from pipeline.config.bounds import LARGEST_SIZE, MOST_LISTED, check_combinations
from pipeline.config.errors import Mistakes, UserError
from pipeline.config.option import check_relations, option, relation
from pipeline.config.sections.model import ArchitectureConfig
from pipeline.config.sections.recipe import WEIGHT_BITS
from pipeline.config.sections.sweep import StudentConfig, check_students

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
    heads: list[float] = option(
        lambda: [1.0],
        "parts of the attention heads that are kept; costs are those of as many, spread evenly over the attentions: "
        "which ones are kept is known after pruning alone",
    )
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
        axes = (self.encoder_layers, self.decoder_layers, self.heads, self.weight_bits, self.embedding_bits, self.bits)
        check_combinations("search.students", [len(axis) for axis in axes])
        mistakes = Mistakes()
        for name in ("encoder_layers", "heads", "weight_bits", "embedding_bits"):
            with mistakes.noted():
                check_values(f"search.students.{name}", getattr(self, name))
        with mistakes.noted():
            check_values("search.students.decoder_layers", self.decoder_layers, may_be_empty=True)
        mistakes.tell()
        with mistakes.noted():
            check_students("search.students.heads", "heads", self.heads)
        with mistakes.noted():
            check_students("search.students.encoder_layers and decoder_layers", "depth", self.depths())
        with mistakes.noted():
            check_students("search.students: weight, embedding and activation bits", "scheme", self.schemes())
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
                self.depths(),
                self.heads,
                self.schemes(),
                self.bits.items() or [("", [])],
            )
        ]

    def depths(self) -> list[str]:
        """Every depth of a student."""
        if not self.decoder_layers:
            return [str(layers) for layers in self.encoder_layers]
        pairs = itertools.product(self.encoder_layers, self.decoder_layers)
        return [f"{encoder}-{decoder}" for encoder, decoder in pairs]

    def schemes(self) -> list[str]:
        """Every scheme of a student."""
        pairs = itertools.product(self.weight_bits, self.embedding_bits)
        return [f"{weights:g}-{embeddings:g}-{self.activation_bits}" for weights, embeddings in pairs]


@dataclass(frozen=True, kw_only=True)
class ModelSpaceConfig:
    """Models from scratch: every combination of what is listed whose heads divide its width."""

    encoder_layers: list[int] = option(lambda: [2, 4], "depths of the encoder", maximum=MOST_LISTED)
    decoder_layers: list[int] = option(
        lambda: [1, 2], "depths of the decoder; empty for an encoder alone", maximum=MOST_LISTED
    )
    heads: list[int] = option(lambda: [2, 4], "attention heads of every layer", maximum=LARGEST_SIZE)
    hidden: list[int] = option(lambda: [64, 128], "widths of the model", maximum=LARGEST_SIZE)
    intermediate: list[int] = option(
        lambda: [128, 256], "widths between the matrices of a feed-forward layer", maximum=LARGEST_SIZE
    )
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
                check_values(f"search.models.{name}", getattr(self, name), may_be_empty=name == "decoder_layers")
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

    @relation(*OF_ARCHITECTURE)
    def _points_can_be_planned(self) -> None:
        check_combinations("search.models", [len(getattr(self, name)) for name in OF_ARCHITECTURE])

    def _check_architecture(self, key: str, given: dict[str, int]) -> None:
        if not given:
            return
        needed = [name for name in OF_ARCHITECTURE if name != "decoder_layers" or self.decoder_layers]
        if set(given) != set(needed) or not all(value > 0 for value in given.values()):
            raise UserError(f"{key}={given}", f"positive numbers for {', '.join(needed)}", f"change {key}")
        for name, value in given.items():
            if value > (most := MOST_LISTED if name.endswith("layers") else LARGEST_SIZE):
                raise UserError(f"{key}: {name}={value}", f"at most {most:,}", f"set {key}")
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
            check_values("search.mixed.bits", self.bits)
            schemes = [f"{bits:g}-{bits:g}-{self.activation_bits}" for bits in self.bits]
            check_students("search.mixed.bits and activation_bits", "scheme", schemes)
        mistakes.tell()


def check_values(key: str, values: list[Any], may_be_empty: bool = False) -> None:
    """Refuse a list that holds nothing, something twice, or a number that is not above 0."""
    if not values and may_be_empty:
        return
    if not values or len(set(values)) != len(values) or not all(value > 0 for value in values):
        reason = "is empty" if not values else "is no list of distinct numbers above 0"
        raise UserError(f"{key}={values} {reason}", "one or more numbers above 0, each once", f"set {key}")
