"""Benchmark `cohort`: what it saves that one teacher pass serves all students of a cohort.

Timed are optimiser steps of one cohort of k students, and of k cohorts of one, each with a teacher pass of its own: k
students of every depth, and of the last depth other numbers of them, too. The two kinds of step take turns on the same
students. A second series of steps begins with the other kind, so that every step is done both ways, and the losses must
be the same to the last bit: a student in company does what it does alone.

By default a 6-6 teacher of width 512 with a vocabulary of 8192: four students of 6-3, 3-1 and 1-1 layers, of 1-1 also
one, two and eight, on eight sequences of 128 + 32 tokens. That takes about 5 GiB of memory. In the shape of BART-base
(model.vocab_size=50265, model.architecture={d_model: 768, ffn_dim: 3072, num_heads: 12}) it takes 14.
"""

from __future__ import annotations

import logging
import os
import platform
import random
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import datasets
import psutil
import torch

from pipeline.cluster.precision import with_precision
from pipeline.cluster.ray_train import connect
from pipeline.cluster.room import worker_memory_bytes
from pipeline.config.changes import with_sections
from pipeline.config.errors import UserError
from pipeline.config.jobs.benchmark import BenchmarkConfig, BenchmarkJob
from pipeline.config.sections.cluster import ClusterConfig
from pipeline.config.sections.sweep import StudentConfig
from pipeline.config.sections.task import TaskConfig
from pipeline.console.progress import ProgressBar
from pipeline.console.tables import text_table
from pipeline.data.batches import BatchPlan, TrainingBatches
from pipeline.models.forward import start_token
from pipeline.models.load import load_teacher, read_model_config
from pipeline.models.student import check_scheme
from pipeline.quantization.scheme import scheme_of
from pipeline.stages.benchmark.cohort_steps import Seconds, StepTimes, num_steps_of_series, time_steps
from pipeline.stages.memory import MicroBatch, cohort_bytes, num_parameters, pass_bytes, work_of
from pipeline.stages.random_tokens import PAD, Vocabulary, check_generates, random_rows
from pipeline.stages.sweep.plan.students import LayerMaps, StudentPlan, layer_maps, plan_student
from pipeline.stages.training import worker_device
from pipeline.training.memory import peak_memory_bytes

if TYPE_CHECKING:
    from transformers import PretrainedConfig

Case = tuple[str, int]  # depth, number of students

log = logging.getLogger(__name__)


def run(config: BenchmarkJob) -> dict[str, Any]:
    """Time cohorts of several students against cohorts of one, and print a table.

    Raises:
        UserError: another engine than plain PyTorch, an impossible depth or scheme, too little memory.
    """
    config = with_sections(config, cluster=_plain(config.cluster))
    settings, vocabulary = config.benchmark, Vocabulary(size=config.model.vocab_size)
    model_config = read_model_config(config.model, vocabulary)
    check_generates(
        model_config,
        max(settings.source_tokens, settings.target_tokens),
        "set benchmark.source_tokens and target_tokens",
    )
    students = {depth: StudentConfig(scheme=settings.scheme, depth=depth) for depth in settings.depths}
    check_scheme(model_config, scheme_of(settings.scheme, config.recipe.quantization))
    maps = dict(zip(students, layer_maps(list(students.values()), model_config), strict=True))
    sizes = {depth: num_parameters(model_config, (len(e), len(d))) for depth, (e, d) in maps.items()}
    cases = _cases(settings)
    _check_memory(config, model_config, sizes, cases)
    load = {"cpu_percent": psutil.cpu_percent(interval=0.5), "load_average": os.getloadavg()[0]}  # before ours begins
    device = worker_device(config.cluster)
    teacher = load_teacher(config.model, vocabulary, TaskConfig(), config.seed).requires_grad_(False).eval().to(device)
    batches = _batches(config, model_config, vocabulary)
    bar = ProgressBar("steps", 2 * num_steps_of_series(settings.num_steps) * len(cases))
    times = {}
    for depth, number in cases:
        seeds = range(config.seed, config.seed + number)
        with TemporaryDirectory() as folder:  # where a sweep would keep which heads are left
            plans = [_plan(config, students[depth], maps[depth], seed, Path(folder)) for seed in seeds]
            times[depth, number] = time_steps(
                config, plans, teacher, batches, settings.num_steps, lambda: bar.update(bar.done + 1)
            )
    bar.close()
    conditions = {
        "threads": torch.get_num_threads(),
        "machine": platform.processor() or platform.machine(),
        "device": str(device) if device.type == "cpu" else torch.cuda.get_device_name(device),
        "precision": config.cluster.precision,
        "load_before": load,
    }
    log.info(f"\n{text_table(_lines(times))}\n\n{_conditions(config, conditions)}")
    return {
        **conditions,
        **{name: getattr(settings, name) for name in ("scheme", "batch_examples", "source_tokens", "target_tokens")},
        "peak_memory_bytes": peak_memory_bytes(),
        "num_parameters": {"teacher": num_parameters(model_config), **sizes},
        "cases": [{"depth": depth, "num_students": number, **asdict(t)} for (depth, number), t in times.items()],
    }


def _cases(settings: BenchmarkConfig) -> list[Case]:
    """As many students of every depth, and the other numbers of the last one."""
    *others, last = dict.fromkeys(settings.depths)
    numbers = sorted({settings.num_students, *settings.scaling})
    return [*((depth, settings.num_students) for depth in others), *((last, number) for number in numbers)]


def _plain(cluster: ClusterConfig) -> ClusterConfig:
    """All cohorts of the measurement run in this process, in the precision that it multiplies in."""
    if (cluster.launcher, cluster.engine) != ("process", "torch"):
        raise UserError(
            f"benchmark.kind=cohort with cluster.launcher={cluster.launcher} and cluster.engine={cluster.engine}",
            "launcher=process, engine=torch",
            "set cluster=process",
        )
    connect(cluster)
    return with_precision(cluster)


def _check_memory(
    config: BenchmarkJob, model_config: PretrainedConfig, sizes: dict[str, int], cases: list[Case]
) -> None:
    """Before anything is built, for the largest of the cases.

    Raises:
        UserError: less is free.
    """
    depth, number = max(cases, key=lambda case: case[1] * sizes[case[0]])
    students, quantized, settings = [sizes[depth]] * number, [True] * number, config.benchmark
    step = MicroBatch(
        num_rows=settings.batch_examples, num_source=settings.source_tokens, num_target=settings.target_tokens
    )
    encoder, decoder = (int(layers) for layers in depth.split("-"))
    compares = config.recipe.distillation.compares_attention
    largest = pass_bytes(
        work_of(model_config, (encoder, decoder)), [step], work_of(model_config), compares_attention=compares
    )
    needed = cohort_bytes(students, quantized, num_parameters(model_config), largest, config.cluster)
    free = worker_memory_bytes(config.cluster)
    if needed > free:
        raise UserError(
            f"{number} students of depth {depth} need about {needed / 2**30:.1f} GiB of memory",
            f"{free / 2**30:.1f} GiB here",
            "lower benchmark.num_students, benchmark.scaling, model.architecture or model.vocab_size",
        )


def _step_tokens(config: BenchmarkJob) -> int:
    return config.benchmark.batch_examples * (config.benchmark.source_tokens + config.benchmark.target_tokens)


def _batches(config: BenchmarkJob, model_config: PretrainedConfig, vocabulary: Vocabulary) -> TrainingBatches:
    """As many batches of random tokens as a series has steps."""
    settings, draw = config.benchmark, random.Random(config.seed)
    num_rows = settings.batch_examples * num_steps_of_series(settings.num_steps)
    columns = {
        "input_ids": random_rows(num_rows, settings.source_tokens, vocabulary, draw),
        "labels": random_rows(num_rows, settings.target_tokens, vocabulary, draw),
    }
    plan = BatchPlan(
        lengths=[(settings.source_tokens, settings.target_tokens)] * num_rows,
        batch_tokens=_step_tokens(config),
        micro_batch_tokens=config.student.micro_batch_tokens,
        num_ranks=1,
        seed=config.seed,
    )
    rows = datasets.Dataset.from_dict(columns)
    return TrainingBatches(rows, plan, rank=0, pad_id=PAD, decoder_start_id=start_token(model_config))


def _plan(config: BenchmarkJob, student: StudentConfig, maps: LayerMaps, seed: int, folder: Path) -> StudentPlan:
    """A student of its own seed: students of a cohort are different ones."""
    key = f"{student.name} {seed}"
    return plan_student(config, student, maps, key=key, seed=seed, shows_seed=True, folder=folder / key)


def _lines(times: dict[Case, StepTimes]) -> list[list[str]]:
    lines = [["depth", "students", "s in one cohort", "s in cohorts of one", "ratio", "of processor time"]]
    lines[0] += ["processor s", "page faults", "s per student", "same losses"]
    for (depth, number), measured in times.items():
        seconds = [_spread(measured.cohort), _spread(measured.alone)]
        same = "yes" if measured.same_losses else "NO"
        ratios = [f"{ratio:.3f}" for ratio in (measured.ratio, measured.processor_ratio)]
        cost = [f"{measured.processor_seconds:.3f}", f"{measured.page_faults:,.0f}", f"{measured.per_student:.3f}"]
        lines.append([depth, str(number), *seconds, *ratios, *cost, same])
    return lines


def _spread(seconds: Seconds) -> str:
    return f"{seconds.median:.3f} ({seconds.lowest:.3f} to {seconds.highest:.3f})"


def _conditions(config: BenchmarkJob, conditions: dict[str, Any]) -> str:
    """What was measured, and where."""
    settings, load = config.benchmark, conditions["load_before"]
    return (
        f"an optimiser step of all students: medians of {settings.num_steps} (lowest to highest); processor time and "
        f"page faults in one cohort; {settings.scheme}, recipe {config.recipe.name}, {settings.batch_examples} "
        f"sequences of {settings.source_tokens} + {settings.target_tokens} tokens; {conditions['precision']}, "
        f"{conditions['threads']} threads on {conditions['device']} ({conditions['machine']}); before: processors "
        f"{load['cpu_percent']:.0f} % busy, load average {load['load_average']:.2f}"
    )
