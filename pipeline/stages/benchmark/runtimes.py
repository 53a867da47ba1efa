"""Benchmark `runtime`: exported students beside other runtimes, and beside the fp32 teacher in transformers.

A cell is a depth, a batch and a number of threads. Every contender of a cell is a live process with one model; they are
asked in turns for one sample a round: encode the same sources, then decode greedy tokens, always as many. Medians are
of the samples beside which other processes left enough cores free (`max_other_load`). A finished cell is appended to
a file in the storage folder, and a cell that stands there with as many samples that count is not measured again, so
that an interrupted benchmark goes on, and one that others disturbed is made up for.

    encoder ms, ms per token    a token of every row of the batch; CTranslate2's are differences of 1 and all tokens
    faster, than teacher        whole time of the fp32 student, and of the fp32 teacher, in transformers, by this one's
    MiB in memory               of the process after the last round, interpreter and libraries included
    smaller                     the teacher's file by this one
    load ms                     imports left out, checksums of exported files included, no self-test
    of the floor                ms per token by the time that one core takes to read the weights of a step, from memory
                                or, where they fit into it, from its cache
    other load                  cores that everything else used during a sample: the median of all
    samples                     those that count, and of how many
"""

from __future__ import annotations

import logging
import os
import random
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from pipeline.benchmarking.conditions import allowed_load, check_threads, export_sources, machine_name
from pipeline.benchmarking.contenders import contenders_of, weight_bytes_per_token
from pipeline.benchmarking.engines.engine import releases
from pipeline.benchmarking.memory_bandwidth import floors, read_bandwidth
from pipeline.benchmarking.results import Cell, append_cell, is_measured, read_cells
from pipeline.benchmarking.rounds import Sampling, generation_ms
from pipeline.benchmarking.runtime_table import CELL, cell_text, ratio
from pipeline.benchmarking.side_by_side import measure_side_by_side
from pipeline.config.jobs.benchmark import BenchmarkJob
from pipeline.config.keys import config_hash, decisions
from pipeline.models.families import family_of
from pipeline.models.load import read_model_config
from pipeline.models.student import check_scheme
from pipeline.quantization.scheme import scheme_of
from pipeline.stages.benchmark.model_files import ModelFiles, bytes_on_disk
from pipeline.stages.memory import num_parameters
from pipeline.stages.random_tokens import Vocabulary, check_generates, random_rows
from pipeline.storage.layout import check_free, open_storage

if TYPE_CHECKING:
    from transformers import PretrainedConfig

# Files of every depth: the teacher's size times so much, baselines and what lies beside them for a moment included.
DISK_FACTOR = 6.0

log = logging.getLogger(__name__)


def run(config: BenchmarkJob) -> dict[str, Any]:
    """Measure the cells that are asked for and not measured yet, and print all that are asked for.

    Raises:
        UserError: an impossible depth or scheme, too many threads, too little room.
    """
    settings, vocabulary = config.benchmark.runtime, Vocabulary(size=config.model.vocab_size)
    model_config = read_model_config(config.model, vocabulary)
    length = max(settings.source_tokens, settings.new_tokens + 1)  # the first one is given
    check_generates(model_config, length, "set benchmark.runtime.source_tokens and new_tokens")
    check_threads(settings.threads, "benchmark.runtime.threads")
    for scheme in settings.schemes:
        check_scheme(model_config, scheme_of(scheme, config.recipe.quantization))
    storage = open_storage(config.storage.path)
    key = _files_key(config, model_config)
    folder = storage.root / "benchmarks" / f"runtime-{key}"
    files = ModelFiles(config.model, model_config, config.recipe.quantization, config.seed, folder / "models")
    results = folder / f"{_results_key(config, key)}.jsonl"
    for depth in settings.depths:
        files.maps(depth)
    check_free(storage.root, DISK_FACTOR * 4.0 * num_parameters(model_config) * len(settings.depths))
    cells: list[Cell] = [(d, b, t) for d in settings.depths for t in settings.threads for b in settings.batches]
    done = read_cells(results, CELL)
    missing = [cell for cell in cells if not is_measured(done.get(cell), settings.rounds)]
    log.info(f"{len(cells)} cells, {len(cells) - len(missing)} of them measured before; results: {results}")
    for cell in cells:
        if cell in missing:
            done[cell] = _measure(config, model_config, files, cell)
            append_cell(results, done[cell])
        log.info(f"\n{cell_text(done[cell])}\n")
    return {"results": str(results), "cells": [_summary(done[cell]) for cell in cells]}


def _measure(config: BenchmarkJob, model_config: PretrainedConfig, files: ModelFiles, cell: Cell) -> dict[str, Any]:
    """The record of one cell."""
    settings, (depth, batch, threads) = config.benchmark.runtime, cell
    family, teacher_depth = (
        family_of(model_config),
        "-".join(map(str, family_of(model_config).num_layers(model_config))),
    )
    contenders, left_out = contenders_of(settings, depth, teacher_depth, family.name)
    paths, refused = files.paths(contenders)
    left_out |= refused
    contenders = [contender for contender in contenders if contender.name in paths]
    sampling = Sampling(
        source=random_rows(
            batch, settings.source_tokens, Vocabulary(size=model_config.vocab_size), random.Random(config.seed)
        ),
        new_tokens=settings.new_tokens,
        rounds=settings.rounds,
        seconds=settings.sample_seconds,
        max_other_load=allowed_load(threads, settings.max_other_load),
    )
    record = {
        **dict(zip(CELL, cell, strict=True)),
        **{name: getattr(settings, name) for name in ("source_tokens", "new_tokens", "rounds", "sample_seconds")},
        "max_other_load": sampling.max_other_load,
        "load_before": os.getloadavg()[0],
        "machine": machine_name(),
        "releases": releases(),
        "memory_bytes_per_second": read_bandwidth(),
        "left_out": left_out,
    }
    name = f"{depth}, batch {batch}, {threads} threads"
    measured = measure_side_by_side(
        *(contenders, paths, threads, sampling, generation_ms(settings.new_tokens)),
        timeout_seconds=settings.timeout_seconds,
        title=name,
    )
    weights = {c.name: weight_bytes_per_token(c, model_config, config.recipe.quantization) for c in contenders}
    floor_of = floors(weights.values())
    rows = []
    for contender in contenders:
        read = weights[contender.name]
        sizes = {"file_bytes": bytes_on_disk(contender, paths[contender.name]), "weight_bytes_per_token": read}
        floor = dict(zip(("floor_ms", "floor"), floor_of[read], strict=True))
        rows.append({**asdict(contender), **sizes, **floor, **measured[contender.name]})
    return {**record, "contenders": rows}


def _summary(record: dict[str, Any]) -> dict[str, Any]:
    """A cell without details: what a program may want to know."""
    teacher, *_ = record["contenders"]
    rows = {}
    for row in record["contenders"]:
        total = row["times"]["total_ms"]
        numbers = {"total_ms": total and total["median"], "faster_than_teacher": ratio(teacher, row)}
        rows[row["name"]] = {**numbers, "file_bytes": row["file_bytes"], "error": row["error"]}
    return {**{name: record[name] for name in (*CELL, "left_out")}, "contenders": rows}


def _files_key(config: BenchmarkJob, model_config: PretrainedConfig) -> str:
    """The name of everything that decides about the models' files, the code that exports among it."""
    return config_hash(model_config.to_dict(), config.seed, decisions(config.recipe.quantization), export_sources())


def _results_key(config: BenchmarkJob, files_key: str) -> str:
    """The name of everything that the cells of one file have in common; how often they are sampled they say."""
    settings = config.benchmark.runtime
    common = ("schemes", "variants", "baselines", "source_tokens", "new_tokens")
    return config_hash(files_key, {name: getattr(settings, name) for name in common}, machine_name(), releases())
