"""Candidates as packages that have learned nothing: for exact bytes and for times, which depend on the shape alone."""

from __future__ import annotations

import functools
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.config.build import to_dict
from pipeline.config.jobs.ose_search import OseSearchJob
from pipeline.config.keys import config_hash
from pipeline.config.sections.model import ArchitectureConfig
from pipeline.config.sections.sweep import StudentConfig
from pipeline.distillation.layer_map import student_maps
from pipeline.export.package_bytes import package_bytes
from pipeline.models.families import family_of
from pipeline.quantization.scheme import scheme_of
from pipeline.stages.job import OpenedJob
from pipeline.stages.random_students import cut_student, random_model, random_weights, write_random_package
from pipeline.stages.search.space import Point, model_of
from pipeline.stages.sweep.plan.students import as_decided
from pipeline.storage.atomic import atomic_folder

if TYPE_CHECKING:
    from transformers import PreTrainedModel

PLAIN = "32-32-32"
# What a configuration says that no weight depends on.
NO_SHAPE = ("transformers_version", "_name_or_path", "dtype")


class CandidatePackages:
    """Writes the points of a space as packages.

    Args:
        job: its teacher's shape, its recipe, its vocabulary.
    """

    def __init__(self, job: OpenedJob[OseSearchJob]) -> None:
        self.job, self.config = job, job.config
        latency = job.config.search.latency
        self.max_tokens = max(latency.source_tokens, latency.new_tokens + 1)
        self.teacher = functools.cache(self._teacher)

    def key(self, point: Point) -> str:
        """A stable name of what the bytes of its package depend on."""
        if point.student is None:
            vocabulary = len(self.job.task.tokenizer())
            family = family_of(self.job.model_config).name
            return config_hash(to_dict(point.architecture), family, vocabulary, self._num_labels())
        shape = {name: value for name, value in self.job.model_config.to_dict().items() if name not in NO_SHAPE}
        student = as_decided(point.student, self.config.recipe)
        quantization = student.recipe_under(self.config.recipe).quantization
        scheme = scheme_of(student.scheme, quantization)
        return config_hash(shape, student.depth, student.heads, scheme.name, to_dict(quantization))

    def num_bytes(self, point: Point) -> int:
        """Bytes of a student's packed weights, to the last one, without packing it.

        Raises:
            UserError: layers, bits or heads that the teacher or the recipe cannot have.
        """
        assert point.student is not None
        quantization = point.student.recipe_under(self.config.recipe).quantization
        student, _ = cut_student(self.teacher(), self._maps(point.student), point.student.heads)
        return package_bytes(student, scheme_of(point.student.scheme, quantization))

    def write(self, point: Point, folder: Path) -> int:
        """Write a package, whole or not at all.

        A student is cut from random weights, quantized as its recipe says, and packed. Which heads are kept is of no
        account here: those with the lowest numbers, spread evenly over the attentions. A model from scratch is packed
        as it is, in fp32.

        Returns:
            size of its weights in bytes.

        Raises:
            UserError: layers, bits or heads that the teacher or the recipe cannot have.
        """
        recipe = self.config.recipe
        if point.student is None:
            assert point.architecture is not None
            model = self._random(point.architecture)
            layers = family_of(model.config).num_layers(model.config)
            maps = (list(range(layers[0])), list(range(layers[1])))
            with atomic_folder(folder) as partial:
                return write_random_package(partial, model, maps, PLAIN, recipe.quantization, self.max_tokens)
        student, quantization = point.student, point.student.recipe_under(recipe).quantization
        with atomic_folder(folder) as partial:
            return write_random_package(
                partial,
                self.teacher(),
                self._maps(student),
                student.scheme,
                quantization,
                self.max_tokens,
                heads=student.heads,
            )

    def _maps(self, student: StudentConfig) -> tuple[list[int], list[int]]:
        return student_maps(student, family_of(self.job.model_config).num_layers(self.job.model_config))

    def _num_labels(self) -> int:
        return len(self.job.task.labels)

    def _random(self, architecture: ArchitectureConfig) -> PreTrainedModel:
        vocabulary = len(self.job.task.tokenizer())
        return random_model(replace(model_of(self.job, architecture), vocab_size=vocabulary), seed=0)

    def _teacher(self) -> PreTrainedModel:
        """A teacher's shape with weights of no meaning."""
        return random_weights(self.job.model_config)
