"""Settings of sweeps: students one by one or as a grid, their seeds, their cohorts, when a student is given up."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from pipeline.config.bounds import LARGEST_SEED, MOST_LISTED, check_combinations
from pipeline.config.build import build
from pipeline.config.changes import changed
from pipeline.config.errors import Mistakes, UserError
from pipeline.config.option import check_relations, option, relation
from pipeline.config.sections.recipe import ACTIVATION_BITS, WEIGHT_BITS, RecipeConfig

BITS = r"([1-9][0-9]{0,2}(?:\.[0-9]{0,3}[1-9])?)"
SCHEME_PATTERN = re.compile(f"{BITS}-{BITS}-{BITS}")
FULL_PRECISION = "32-32-32"
ENTRY = "write sweep.students entries like {scheme: 2-2-8, depth: 6-3}"
DEPTH_PATTERN = re.compile(r"([1-9][0-9]{0,3})(?:-([1-9][0-9]{0,3}))?")


@dataclass(frozen=True, kw_only=True)
class StudentConfig:
    """One point of a sweep: bits, depth and what differs from the sweep's defaults."""

    scheme: str = option("8-8-8", "bits W-E-A: weights, embeddings, activations; 32 is not quantized")
    depth: str = option("6-3", "encoder-decoder layers of the student; of an encoder alone one number")
    heads: float = option(1.0, "part of the attention heads that is kept (recipe.pruning chooses)", minimum=0.0)
    distil: bool = option(True, "false: task loss only, no teacher")
    encoder_map: list[int] | None = option(None, "teacher layer of each encoder layer; none: the rule of LayerMap")
    decoder_map: list[int] | None = option(None, "teacher layer of each decoder layer; none: the rule of LayerMap")
    learning_rate: float | None = option(None, "overrides student.learning_rate", minimum=0.0)
    recipe: dict[str, Any] = option(dict, "what differs from the sweep's recipe, e.g. {quantization: {lm_head: false}}")
    label: str = option("", "tells students of the same scheme and depth apart in tables; needed beside `recipe`")
    training: str = option(
        "qat",
        "qat: trained as it will be packed; ptq: quantized without training: the teacher where the student keeps all "
        "of it, else the student of the sweep that differs in nothing but its scheme 32-32-32",
        allowed=("qat", "ptq"),
    )

    def __post_init__(self) -> None:
        check_relations(self)

    @relation("scheme")
    def _scheme_is_possible(self) -> None:
        match, mistakes = SCHEME_PATTERN.fullmatch(self.scheme), Mistakes()
        if not match:
            allowed = "three numbers W-E-A such as 8-8-8, 2-2-8, 1.58-1.58-8 or 32-32-32"
            raise UserError(f"scheme '{self.scheme}'", allowed, ENTRY)
        weights, embeddings, activations = (float(bits) for bits in match.groups())
        for name, bits, allowed_bits in (
            ("weight", weights, WEIGHT_BITS),
            ("embedding", embeddings, WEIGHT_BITS),
            ("activation", activations, ACTIVATION_BITS),
        ):
            if bits not in allowed_bits:
                mistakes.add(UserError(f"{bits:g} {name} bits in scheme '{self.scheme}'", f"{allowed_bits}", ENTRY))
        mistakes.tell()

    @relation("depth")
    def _depth_is_possible(self) -> None:
        if not DEPTH_PATTERN.fullmatch(self.depth):
            layers = [part for part in re.findall(r"[1-9][0-9]*", self.depth) if len(part) < 5]
            raise UserError(
                f"depth '{self.depth}'",
                "encoder-decoder layers such as 6-3, or 3 for an encoder alone",
                f"write {'-'.join(layers)}, with a hyphen" if len(layers) == 2 else ENTRY,
            )

    @relation("heads")
    def _some_heads_are_kept(self) -> None:
        if not 0 < self.heads <= 1:
            raise UserError(f"a student with heads={self.heads}", "above 0, at most 1", ENTRY)

    @relation("scheme", "depth", "recipe", "label")
    def _recipe_of_its_own_has_a_label(self) -> None:
        if "name" in self.recipe:
            raise UserError(
                f"student {self.scheme} {self.depth} with recipe.name", "settings, not a name", "write what differs"
            )
        if self.recipe and not self.label:
            raise UserError(
                f"student {self.scheme} {self.depth} with a recipe of its own and no label", "a label", "add label: ..."
            )

    @property
    def num_layers(self) -> tuple[int, int | None]:
        """Encoder and decoder layers; the latter are not given for an encoder alone."""
        encoder, _, decoder = self.depth.partition("-")
        return int(encoder), int(decoder) if decoder else None

    def in_full_precision(self) -> StudentConfig:
        """The same student, trained and not quantized."""
        return replace(self, scheme=FULL_PRECISION, training="qat")

    def recipe_under(self, recipe: RecipeConfig) -> RecipeConfig:
        """The sweep's recipe with what this student changes.

        Raises:
            UserError: a change that the schema does not allow.
        """
        return changed(recipe, self.recipe, f"recipe of student '{self.name}'")

    @property
    def name(self) -> str:
        """What a person calls this student, e.g. `2-2-8 6-3 no-distil`."""
        parts = [self.scheme, self.depth, *([self.label] if self.label else [])]
        if self.heads < 1:
            parts.append(f"heads={self.heads:g}")
        if not self.distil:
            parts.append("no-distil")
        for name, layers in (("encoder", self.encoder_map), ("decoder", self.decoder_map)):
            if layers is not None:
                parts.append(f"{name}={','.join(map(str, layers))}")
        if self.learning_rate is not None:
            parts.append(f"lr={self.learning_rate!r}")
        if self.training != "qat":
            parts.append(self.training)
        return " ".join(parts)


@dataclass(frozen=True, kw_only=True)
class StoppingConfig:
    """When a student is given up before its training ends: compared within its cohort, at equal steps."""

    rule: str = option(
        "none",
        "median: a student that is worse than the median of those compared with it; halving: all but the best `keep`",
        allowed=("none", "median", "halving"),
    )
    fractions: list[float] = option(lambda: [0.25, 0.5], "parts of the training after which students are compared")
    keep: float = option(0.5, "halving: part of the students that goes on, rounded up", minimum=0.0, maximum=1.0)
    among: str = option(
        "size",
        "who is compared: size: students of the same scheme, depth and heads; cohort: all",
        allowed=("size", "cohort"),
    )
    measure: str = option(
        "loss",
        "loss: cross-entropy on the validation split; score: the task's headline metric there (it generates)",
        allowed=("loss", "score"),
    )

    def __post_init__(self) -> None:
        check_relations(self)

    @relation("fractions")
    def _fractions_rise(self) -> None:
        if sorted(set(self.fractions)) != self.fractions or not all(0 < part < 1 for part in self.fractions):
            raise UserError(
                f"sweep.stopping.fractions={self.fractions}",
                "rising numbers between 0 and 1",
                "set sweep.stopping.fractions, e.g. [0.25,0.5]",
            )

    def steps(self, num_steps: int) -> set[int]:
        """Optimiser steps after which students are compared.

        Args:
            num_steps: of the whole training.
        """
        steps = {max(1, round(part * num_steps)) for part in self.fractions}
        return set() if self.rule == "none" else {step for step in steps if step < num_steps}


def check_students(key: str, setting: str, values: list[Any]) -> None:
    """Refuse a list of which one is no such setting of a student.

    Args:
        key: dotted name of the list.
        setting: name of the student's setting.
        values: what the list holds.

    Raises:
        UserError: an empty list, and every impossible value.
    """
    if not values:
        raise UserError(f"{key}=[]: {key} is empty", f"at least one {setting}", f"set {key}")
    mistakes = Mistakes()
    for number, value in enumerate(values):
        try:
            build(StudentConfig, {setting: value}, f"{key}[{number}]")
        except UserError as error:
            for one in error.errors:
                mistakes.add(UserError(one.given, one.allowed, one.change.replace(ENTRY, f"change {key}")))
    mistakes.tell()


def check_seeds(key: str, seeds: int | list[int]) -> None:
    """Refuse a number of seeds below 1 or beyond what can be planned, or seeds that are not distinct numbers from 0 on.

    Args:
        key: dotted name of the setting.
        seeds: how many, or which.

    Raises:
        UserError: as said.
    """
    if isinstance(seeds, int):
        if not 1 <= seeds <= MOST_LISTED:
            raise UserError(
                f"{key}={seeds}", f"a number from 1 on, at most {MOST_LISTED:,}, or a list", f"change {key}"
            )
    elif len(set(seeds)) != len(seeds) or any(seed < 0 for seed in seeds):
        raise UserError(f"{key}={seeds}", "distinct numbers from 0 on", f"change {key}")


def num_seeds(seeds: int | list[int]) -> int:
    """How many seeds a setting means."""
    return seeds if isinstance(seeds, int) else max(1, len(seeds))


def listed_seeds(seeds: int | list[int], first: int) -> list[int]:
    """The seeds that a setting means: a number n is `first`, `first` + 1, ... n of them; empty: `first` alone."""
    return list(range(first, first + seeds)) if isinstance(seeds, int) else seeds or [first]


def _distinct(axis: str) -> Callable[[Any], None]:
    @relation(axis)
    def check(sweep: Any) -> None:
        values = getattr(sweep, axis)
        if len(set(values)) != len(values):
            raise UserError(f"sweep.{axis}={values}", "every value once", f"change sweep.{axis}")

    return check


def _possible(axis: str, setting: str) -> Callable[[Any], None]:
    """Every value of an axis once, and one that a student may have."""
    distinct = _distinct(axis)

    @relation(axis)
    def check(sweep: Any) -> None:
        distinct(sweep)
        if values := getattr(sweep, axis):
            check_students(f"sweep.{axis}", setting, values)

    return check


@dataclass(frozen=True, kw_only=True)
class SweepConfig:
    """The students of one sweep: a list, a grid, or both; equal points count once."""

    students: list[StudentConfig] = option(
        list, "students one by one; empty, and no axis of the grid: 8-8-8 6-3, in a night of retraining as the champion"
    )
    schemes: list[str] = option(list, "axis of the grid: schemes W-E-A, e.g. [8-8-8,2-2-8]; empty: 8-8-8")
    depths: list[str] = option(list, "axis: encoder-decoder layers, e.g. [6-3,3-1]; empty: 6-3")
    heads: list[float] = option(list, "axis: parts of the attention heads that are kept; empty: all heads")
    learning_rates: list[float] = option(list, "axis: peaks of the learning rate; empty: student.learning_rate")
    recipes: list[str] = option(list, "axis: recipes of conf/recipe by name, e.g. [best,dqbart]; empty: the job's")
    variants: dict[str, dict[str, Any]] = option(
        dict,
        "axis, joined to `recipes`: label -> what differs from the recipe, "
        "e.g. {ternary: {quantization: {weights: {two_bit: twn}}}}",
    )
    seeds: int | list[int] = option(
        list,
        "train every student once with each of these seeds (batches, dropout), one teacher; a number n: with seed, "
        "seed+1, ... n times; empty: with `seed`",
        maximum=LARGEST_SEED,
    )
    search: str = option(
        "",
        "name of a finished search of jobs/ose_search.py: the students that it has chosen, before those of the list",
        is_literal=True,
    )
    cohort_size: int | None = option(
        None, "most students that share a teacher pass; none: as many as a worker's memory holds", minimum=1
    )
    stopping: StoppingConfig = option(StoppingConfig, "when a student is given up")

    def __post_init__(self) -> None:
        check_relations(self)

    @relation("students")
    def _students_have_names_of_their_own(self) -> None:
        names = [student.name for student in self.students]
        if len(set(names)) != len(names):
            raise UserError("sweep.students names a student twice", "distinct students", "remove one, or label them")

    @relation("seeds")
    def _seeds_are_distinct(self) -> None:
        check_seeds("sweep.seeds", self.seeds)

    @relation("variants")
    def _variants_are_possible(self) -> None:
        mistakes = Mistakes()
        for label, changes in self.variants.items():
            with mistakes.noted():
                StudentConfig(label=label, recipe=changes)
        mistakes.tell()

    @relation("students", "schemes", "depths", "heads", "learning_rates", "recipes", "variants", "seeds")
    def _students_can_be_planned(self) -> None:
        axes = (self.schemes, self.depths, self.heads, self.learning_rates, self.variants or self.recipes)
        check_combinations("sweep", [*map(len, axes), num_seeds(self.seeds)])
        check_combinations("sweep.students and sweep.seeds", [len(self.students), num_seeds(self.seeds)])

    recipes_are_distinct = _distinct("recipes")
    schemes_are_possible = _possible("schemes", "scheme")
    depths_are_possible = _possible("depths", "depth")
    heads_are_possible = _possible("heads", "heads")
    rates_are_possible = _possible("learning_rates", "learning_rate")

    def points(self) -> list[StudentConfig]:
        """The students of the list, then those of the grid that are not among them."""
        points = {student.name: student for student in self.students}
        axes: dict[str, list[dict[str, Any]]] = {
            "scheme": [{"scheme": scheme} for scheme in self.schemes],
            "depth": [{"depth": depth} for depth in self.depths],
            "heads": [{"heads": heads} for heads in self.heads],
            "learning_rate": [{"learning_rate": rate} for rate in self.learning_rates],
            "variant": [{"label": label, "recipe": changes} for label, changes in self.variants.items()],
        }
        if any(axes.values()) or not points:
            for choices in itertools.product(*(axis or [{}] for axis in axes.values())):
                student = StudentConfig(**{name: value for choice in choices for name, value in choice.items()})
                points.setdefault(student.name, student)
        return list(points.values())

    def seed_list(self, first: int) -> list[int]:
        """The seeds that every student is trained with.

        Args:
            first: the job's seed.
        """
        return listed_seeds(self.seeds, first)
