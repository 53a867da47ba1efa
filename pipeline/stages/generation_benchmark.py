"""Benchmark `generation`: weights quantised at every decoding step against weights quantised once, and packed ones."""

from __future__ import annotations

import copy
import platform
import random
from dataclasses import asdict, dataclass
from typing import Any

import torch

from pipeline.config.errors import UserError
from pipeline.config.schema import BenchmarkConfig, JobConfig, StudentConfig
from pipeline.config.task import DecodingConfig, TaskConfig
from pipeline.evaluation.generate import generate_ids
from pipeline.evaluation.latency import generation_run, measure_side_by_side
from pipeline.models.families import family_of
from pipeline.models.load import load_teacher, read_shape
from pipeline.models.student import build_student, prepare_student, sites_of
from pipeline.quantization.fake_quantise import set_weight_caching
from pipeline.quantization.packed_layers import convert
from pipeline.quantization.scheme import Scheme, scheme_of
from pipeline.stages.plan import layer_maps
from pipeline.tracking.progress import say
from pipeline.tracking.report import text_table

PAD = 1


@dataclass(frozen=True, kw_only=True)
class Vocabulary:
    """What a model from scratch asks of a tokenizer; times need no text."""

    size: int
    bos_token_id: int = 0
    pad_token_id: int = PAD
    eos_token_id: int = 2

    def __len__(self) -> int:
        return self.size


def run(config: JobConfig) -> dict[str, Any]:
    """Time the generation of one student in three forms, beside its teacher, and print a table."""
    settings, vocabulary = config.benchmark, Vocabulary(size=config.model.vocab_size)
    shape = read_shape(config.model, vocabulary)
    _check_fits(shape, settings)
    student = StudentConfig(scheme=settings.scheme, depth=settings.depth)
    [maps] = layer_maps([student], shape)
    teacher = load_teacher(config.model, vocabulary, TaskConfig(), config.seed).eval()
    length = settings.new_tokens + 1  # the first one is given
    decoding = DecodingConfig(min_length=length, max_length=length)
    rng = random.Random(config.seed)
    sources = [
        {"input_ids": [rng.randrange(4, shape.vocab_size) for _ in range(settings.source_tokens)]}
        for _ in range(settings.num_examples)
    ]
    forms = _student_forms(scheme_of(settings.scheme, config.recipe.quantisation), maps, teacher)
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
    say("\n" + text_table(lines))
    return {
        "same_tokens": all(torch.equal(said[0], other) for other in said),
        "speeds": {name: asdict(speed) for name, speed in speeds.items()},
        "threads": torch.get_num_threads(),
        "machine": platform.processor() or platform.machine(),
    }


def _check_fits(shape: Any, settings: BenchmarkConfig) -> None:
    family = family_of(shape)
    if family.decoder is None:
        raise UserError(f"a {family.name} model, which does not generate", "a model with a decoder", "set model.family")
    positions, needed = family.num_positions(shape), max(settings.source_tokens, settings.new_tokens + 1)
    if positions is not None and needed > positions:
        raise UserError(
            f"{needed} tokens for a model of {positions} positions",
            f"at most {positions}",
            "set benchmark.source_tokens and benchmark.new_tokens",
        )


def _student_forms(scheme: Scheme, maps: tuple[list[int], list[int]], teacher: Any) -> dict[str, Any]:
    student = build_student(teacher, *maps, dropout=0.0).eval()
    prepare_student(student, scheme)
    again, packed = copy.deepcopy(student), copy.deepcopy(student)
    set_weight_caching(again, False)
    convert(packed, sites_of(packed), scheme)
    return {"quantised at every step": again, "quantised once": student, "packed": packed}
