"""What a point costs, known without training it: parameters, operations, bytes on disk of the packed model."""

from __future__ import annotations

import functools
import json
import logging
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from pipeline.config.build import to_dict
from pipeline.config.jobs.ose_search import OseSearchJob
from pipeline.config.keys import config_hash
from pipeline.console.progress import ProgressBar
from pipeline.export.package import PackageInfo, file_bytes, write_package
from pipeline.models.load import read_model_config
from pipeline.models.student import build_student, empty_model, prepare_student, sites_of
from pipeline.models.teacher_shape import teacher_shape
from pipeline.pruning.heads import count_heads
from pipeline.pruning.importance import heads_to_keep
from pipeline.quantization.packed_layers import convert
from pipeline.quantization.scheme import scheme_of
from pipeline.search.cover import Cost
from pipeline.search.sizes import Operations, Parts
from pipeline.search.space import StudentArchitecture
from pipeline.search.student_sizes import student_operations, student_parameters
from pipeline.search.teacher_shape import TeacherShape
from pipeline.stages.job import OpenedJob
from pipeline.stages.search.space import Point
from pipeline.stages.sweep.plan.students import as_decided, layer_maps
from pipeline.storage.atomic import atomic_json

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

FP32_BYTES = 4
NO_SHAPE = ("transformers_version", "_name_or_path")  # what a configuration says that no weight depends on

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
    tokens = (mean[0], mean[1] if job.config.task.facts.has_decoder else 0)
    if job.config.search.kind == "models":
        return {point.name: _model_costs(job, point, tokens) for point in points}
    shape, sizes = teacher_shape(job.model_config), packed_bytes(job, points)
    return {point.name: _student_costs(job, point, shape, tokens, sizes[point.name]) for point in points}


def _model_costs(job: OpenedJob[OseSearchJob], point: Point, tokens: tuple[int, int]) -> PointCosts:
    """What a model from scratch costs.

    Args:
        job: its family, vocabulary and positions.
        point: its architecture.
        tokens: of a source and of a target.
    """
    assert point.architecture is not None
    model = replace(job.config.model, pretrained=None, architecture=point.architecture)
    shape = teacher_shape(read_model_config(model, job.task.tokenizer(), job.task.labels))
    whole = _whole(shape)
    parameters = student_parameters(whole, shape)
    return PointCosts(
        parameters=parameters,
        operations=student_operations(whole, shape, *tokens),
        size_bytes=FP32_BYTES * parameters.total,
    )


def _whole(shape: TeacherShape) -> StudentArchitecture:
    """All layers and heads, nothing quantized."""
    return StudentArchitecture(
        encoder_layers=shape.encoder.layers,
        decoder_layers=0 if shape.decoder is None else shape.decoder.layers,
        heads=shape.encoder.heads,
        weight_bits=32.0,
        embedding_bits=32.0,
    )


def _student_costs(
    job: OpenedJob[OseSearchJob], point: Point, shape: TeacherShape, tokens: tuple[int, int], size_bytes: int
) -> PointCosts:
    """Of heads that are removed it is not known yet where: every attention loses its part."""
    assert point.student is not None
    encoder, decoder = point.student.num_layers
    scheme = scheme_of(point.student.scheme, job.config.recipe.quantization)
    student = StudentArchitecture(
        encoder_layers=encoder,
        decoder_layers=decoder or 0,
        heads=max(1, round(point.student.heads * shape.encoder.heads)),
        weight_bits=scheme.weight_bits,
        embedding_bits=scheme.embedding_bits,
    )
    return PointCosts(
        parameters=student_parameters(student, shape),
        operations=student_operations(student, shape, *tokens),
        size_bytes=size_bytes,
    )


def packed_bytes(job: OpenedJob[OseSearchJob], points: Sequence[Point]) -> dict[str, int]:
    """Name of a student -> bytes of its packed weights: it is packed, with whatever weights, and looked at.

    What was packed once is remembered.

    Raises:
        UserError: as `costs_of` says.
    """
    config, found = job.config, dict[str, int]()
    students = [as_decided(point.student, config.recipe) for point in points if point.student is not None]
    maps = layer_maps(students, job.model_config)
    teacher = functools.cache(lambda: _any_teacher(job.model_config))
    shape = {name: value for name, value in job.model_config.to_dict().items() if name not in NO_SHAPE}
    bar = ProgressBar("sizes", len(points))
    for number, (point, student, layers) in enumerate(zip(points, students, maps, strict=True), 1):
        scheme = scheme_of(student.scheme, student.recipe_under(config.recipe).quantization)
        key = config_hash("packed bytes", shape, layers, student.heads, scheme.name, to_dict(scheme.quantization))
        file = job.storage.cache / "packed_bytes" / f"{key}.json"
        if not file.is_file():
            model = build_student(teacher(), *layers, dropout=0.0, heads=_any_heads(teacher(), layers, student.heads))
            prepare_student(model, scheme)
            convert(model.eval(), sites_of(model), scheme)
            info = PackageInfo(
                scheme=scheme,
                encoder_map=layers[0],
                decoder_map=layers[1],
                heads={},
                decoding=config.task.decoding,
                source_prefix="",
                source_language=None,
                target_language=None,
                max_source_tokens=config.task.max_source_tokens,
            )
            with tempfile.TemporaryDirectory() as folder:
                write_package(Path(folder), model, job.task.tokenizer(), info)
                atomic_json(file, file_bytes(Path(folder)))
        found[point.name] = json.loads(file.read_text())
        bar.update(number)
    bar.close()
    return found


def _any_teacher(model_config: PretrainedConfig) -> PreTrainedModel:
    """A teacher with weights of no meaning."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return empty_model(model_config).eval()


def _any_heads(teacher: PreTrainedModel, layers: tuple[list[int], list[int]], part: float) -> dict[str, list[int]]:
    """So many heads as a student keeps; which ones they are changes no size."""
    if part == 1:
        return {}
    student = build_student(teacher, *layers, dropout=0.0)
    return heads_to_keep(
        {site.module: torch.zeros(count_heads(student, site)) for site in sites_of(student).attentions}, part
    )
