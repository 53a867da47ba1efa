"""Benchmark `generation`: weights quantized at every decoding step against weights quantized once, and packed ones."""

from __future__ import annotations

import copy
import logging
import platform
import random
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import torch

from pipeline.config.jobs.benchmark import BenchmarkJob
from pipeline.config.sections.sweep import StudentConfig
from pipeline.config.sections.task import DecodingConfig, TaskConfig
from pipeline.console.tables import text_table
from pipeline.evaluation.generate import generate_ids
from pipeline.evaluation.latency import generation_run, measure_side_by_side
from pipeline.models.load import load_teacher, read_model_config
from pipeline.models.student import build_student, prepare_student, sites_of
from pipeline.quantization.fake_quantize import set_weight_caching
from pipeline.quantization.packed_layers import convert
from pipeline.quantization.scheme import Scheme, scheme_of
from pipeline.stages.random_tokens import PAD, Vocabulary, check_generates, random_rows
from pipeline.stages.sweep.plan.students import LayerMaps, layer_maps

if TYPE_CHECKING:
    from transformers import PreTrainedModel

log = logging.getLogger(__name__)


def run(config: BenchmarkJob) -> dict[str, Any]:
    """Time the generation of one student in three forms, beside its teacher, and print a table."""
    settings, vocabulary = config.benchmark, Vocabulary(size=config.model.vocab_size)
    model_config = read_model_config(config.model, vocabulary)
    length = settings.new_tokens + 1  # the first one is given
    check_generates(
        model_config, max(settings.source_tokens, length), "set benchmark.source_tokens and benchmark.new_tokens"
    )
    student = StudentConfig(scheme=settings.scheme, depth=settings.depth)
    [maps] = layer_maps([student], model_config)
    teacher = load_teacher(config.model, vocabulary, TaskConfig(), config.seed).eval()
    decoding = DecodingConfig(min_length=length, max_length=length)
    rows = random_rows(settings.num_examples, settings.source_tokens, vocabulary, random.Random(config.seed))
    sources = [{"input_ids": row} for row in rows]
    forms = _student_forms(scheme_of(settings.scheme, config.recipe.quantization), maps, teacher)
    models = {**forms, "teacher, fp32": teacher}
    # Different forms of one student must say the same.
    said = [generate_ids(model, [sources[0]["input_ids"]], PAD, decoding) for model in forms.values()]
    runs = {name: generation_run(model, PAD, decoding) for name, model in models.items()}
    speeds = measure_side_by_side(runs, sources, settings.num_examples, config.evaluation.batch_tokens)
    slowest = next(iter(speeds.values()))
    lines = [["form", "p50 ms", "p95 ms", "ms per token", "tokens/s in a batch", "faster"]]
    for name, speed in speeds.items():
        numbers = (speed.latency_p50_ms, speed.latency_p95_ms, speed.ms_per_token, speed.tokens_per_second)
        ratio = f"{slowest.ms_per_token / speed.ms_per_token:.2f}x"
        lines.append([name, *(f"{number:.1f}" for number in numbers), ratio])
    log.info("\n" + text_table(lines))
    return {
        "same_tokens": all(torch.equal(said[0], other) for other in said),
        "speeds": {name: asdict(speed) for name, speed in speeds.items()},
        "threads": torch.get_num_threads(),
        "machine": platform.processor() or platform.machine(),
    }


def _student_forms(scheme: Scheme, maps: LayerMaps, teacher: PreTrainedModel) -> dict[str, PreTrainedModel]:
    student = build_student(teacher, *maps, dropout=0.0).eval()
    prepare_student(student, scheme)
    again, packed = copy.deepcopy(student), copy.deepcopy(student)
    set_weight_caching(again, False)
    convert(packed, sites_of(packed), scheme)
    return {"quantized at every step": again, "quantized once": student, "packed": packed}
