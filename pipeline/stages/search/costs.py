"""What a point costs, known without training it: parameters, operations, bytes on disk of the packed model."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from pipeline.config.jobs.ose_search import OseSearchJob
from pipeline.config.keys import config_hash
from pipeline.config.sections.model import ArchitectureConfig
from pipeline.console.progress import ProgressBar
from pipeline.export.package import FORMAT
from pipeline.models.load import read_model_config
from pipeline.models.teacher_shape import teacher_shape
from pipeline.pruning.importance import num_kept
from pipeline.quantization.scheme import scheme_of
from pipeline.search.cover import Cost
from pipeline.search.sizes import Operations, Parts
from pipeline.search.space import StudentArchitecture
from pipeline.search.student_sizes import student_operations, student_parameters, teacher_operations, teacher_parameters
from pipeline.search.teacher_shape import TeacherShape
from pipeline.stages.job import OpenedJob
from pipeline.stages.search.candidate_packages import CandidatePackages
from pipeline.stages.search.space import Point, model_of
from pipeline.storage.sealed_json import found_json, sealed_json

FP32_BYTES = 4

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class PointCosts:
    """What a point costs.

    Args:
        parameters: trainable ones, those of the ends apart.
        operations: of one forward pass over the mean lengths of the training split, likewise.
        size_bytes: of the packed model's weights on disk; of a model from scratch, which is not packed, in fp32.
    """

    parameters: Parts
    operations: Operations
    size_bytes: int

    @property
    def values(self) -> dict[str, float]:
        """By the names that settings and reports use."""
        return {
            "size_bytes": float(self.size_bytes),
            "parameters": float(self.parameters.total),
            "operations": float(self.operations.total.total),
        }

    def cost(self, size: str, inference: str, latency_ms: float | None) -> Cost:
        """The two that W is made of.

        Args:
            size: `search.size`.
            inference: `search.inference`.
            latency_ms: measured or predicted; needed where it is the inference.
        """
        whole = self.values | ({} if latency_ms is None else {"latency_ms": latency_ms})
        of_ends = size == "parameters"
        return Cost(
            size=whole[size],
            inference=whole[inference],
            end_size=float(self.parameters.ends) if of_ends else None,
            end_inference=float(self.operations.total.ends) if inference == "operations" else None,
        )


def costs_of(job: OpenedJob[OseSearchJob], points: Sequence[Point]) -> dict[str, PointCosts]:
    """Name of a point -> what it costs.

    Raises:
        UserError: heads that do not divide, depths that the teacher does not have, a recipe that cannot be.
    """
    lengths = job.task.split("train").lengths()
    mean = tuple(max(1, round(sum(side) / len(side))) for side in zip(*lengths, strict=True))
    tokens = (mean[0], mean[1])  # of a classifier, which has no targets of its own, the second does not matter
    if job.config.search.kind == "models":
        shape_of = functools.cache(partial(_one_layer_shape, job))
        return {point.name: _model_costs(point, shape_of, tokens) for point in points}
    shape, sizes = teacher_shape(job.model_config), packed_bytes(job, points)
    return {point.name: _student_costs(job, point, shape, tokens, sizes[point.name]) for point in points}


def _model_costs(
    point: Point, shape_of: Callable[[ArchitectureConfig], TeacherShape], tokens: tuple[int, int]
) -> PointCosts:
    """What a model from scratch costs, of whose layers one is like the other.

    Args:
        point: its architecture.
        shape_of: the shape of a model of one layer.
        tokens: of a source and of a target.
    """
    assert point.architecture is not None
    layers, least = point.architecture, replace(point.architecture, encoder_layers=1, decoder_layers=1)
    shape = shape_of(least)
    decoder = shape.decoder and replace(shape.decoder, layers=layers.decoder_layers)
    shape = replace(shape, encoder=replace(shape.encoder, layers=layers.encoder_layers), decoder=decoder)
    parameters = teacher_parameters(shape)
    return PointCosts(
        parameters=parameters,
        operations=teacher_operations(shape, *tokens),
        size_bytes=FP32_BYTES * parameters.total,
    )


def _one_layer_shape(job: OpenedJob[OseSearchJob], architecture: ArchitectureConfig) -> TeacherShape:
    kind = job.config.task.facts.model
    return teacher_shape(read_model_config(model_of(job, architecture), job.task.tokenizer(), job.task.labels, kind))


def _student_costs(
    job: OpenedJob[OseSearchJob], point: Point, shape: TeacherShape, tokens: tuple[int, int], size_bytes: int
) -> PointCosts:
    """As many heads as a sweep keeps, spread evenly over the attentions as in the package that has its bytes and times.

    Which ones a student loses is decided when it is pruned, by what it has learned.
    """
    assert point.student is not None
    encoder, decoder = point.student.num_layers
    heads = shape.num_heads(encoder, decoder or 0)
    scheme = scheme_of(point.student.scheme, job.config.recipe.quantization)
    student = StudentArchitecture(
        encoder_layers=encoder,
        decoder_layers=decoder or 0,
        heads=num_kept(point.student.heads, sum(heads), len(heads)),
        weight_bits=scheme.weight_bits,
        embedding_bits=scheme.embedding_bits,
    )
    return PointCosts(
        parameters=student_parameters(student, shape),
        operations=student_operations(student, shape, *tokens),
        size_bytes=size_bytes,
    )


def packed_bytes(job: OpenedJob[OseSearchJob], points: Sequence[Point]) -> dict[str, int]:
    """Name of a student -> bytes of its packed weights, to the last one; what was counted once is remembered.

    What another format of packages takes says nothing of this one's.

    Raises:
        UserError: as `costs_of` says.
    """
    packages = CandidatePackages(job)
    keys = {point.name: config_hash(FORMAT, packages.key(point)) for point in points}
    files = {name: job.storage.cache / "packed_bytes" / f"{key}.json" for name, key in keys.items()}
    found = {name: found_json(file, "its bytes are counted again") for name, file in files.items()}
    missing = [point for point in points if found[point.name] is None]
    bar = ProgressBar("bytes of candidates", len(points), done=len(points) - len(missing), shown=bool(missing))
    for number, point in enumerate(missing, 1):
        found[point.name] = packages.num_bytes(point)
        sealed_json(files[point.name], found[point.name])
        bar.update(len(points) - len(missing) + number)
    bar.close()
    return {name: number for name, number in found.items() if number is not None}
