"""Benchmark `encoder`: how long one forward pass takes in encoders of several shapes, and what arithmetic says of it.

A cell is a length, a batch and a number of threads. Every shape is a live process in every runtime: transformers in
fp32, our export of a student of 32-32-32 in ONNX Runtime, and as it is packed; all are asked in turns for one sample a
round. Medians are of the samples beside which other processes left enough cores free (`max_other_load`). A finished
cell is appended to a file in the storage folder, and a cell that stands there with as many samples that count is not
measured again, so that an interrupted benchmark goes on, and one that others disturbed is made up for.

    ms                      of one forward pass: token ids in, a label out
    NAME: arithmetic        multiplications of the shape NAME by this one's: weights, and attention, which grows with
                            the length; tables are looked up, not multiplied
    NAME: measured          time of the shape NAME, in fp32 in the same runtime, by this one's
    processor ms            of all threads: the median of all samples, for it says something on a busy machine, too
    G mult/s                multiplications a second, in thousand millions
    MiB in memory           of the process after the last round, interpreter and libraries included; files that are
                            mapped count in every process
    load ms                 imports left out, checksums of exported files included, no self-test
    other load              cores that everything else used during a sample: the median of all
    samples                 those that count, and of how many
"""

from __future__ import annotations

import logging
import os
import random
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil

from pipeline.benchmarking.conditions import allowed_load, check_threads, export_sources, machine_name
from pipeline.benchmarking.contenders import FLOAT, encoder_contenders
from pipeline.benchmarking.encoder_table import (
    CELL,
    cell_text,
    milliseconds,
    processor_milliseconds,
    ratio_lines,
    ratio_to,
)
from pipeline.benchmarking.engines.engine import releases
from pipeline.benchmarking.memory_bandwidth import read_bandwidth
from pipeline.benchmarking.results import Cell, append_cell, is_measured, read_cells
from pipeline.benchmarking.rounds import FORWARD_MS, Sampling
from pipeline.benchmarking.side_by_side import measure_side_by_side
from pipeline.config.errors import Mistakes, UserError
from pipeline.config.jobs.benchmark import BenchmarkJob
from pipeline.config.keys import config_hash, decisions
from pipeline.config.sections.benchmark import EncoderBenchmarkConfig, EncoderShapeConfig
from pipeline.console.tables import text_table
from pipeline.models.student import check_scheme
from pipeline.quantization.scheme import scheme_of
from pipeline.stages.benchmark.encoder_shapes import model_config_of, model_of, multiplications, num_parameters
from pipeline.stages.benchmark.model_files import ModelFiles, bytes_on_disk
from pipeline.stages.random_tokens import Vocabulary, random_rows
from pipeline.storage.layout import check_free, open_storage

# Bytes of a parameter on disk: transformers' file, the package in fp32, the export in fp32, and the packed ones.
DISK_BYTES_PER_PARAMETER = 16.0
# Of a worker: interpreter and libraries; of a file that it holds: what lies beside the mapped one.
WORKER_BYTES, FILE_FACTOR = 0.3 * 2**30, 1.1

log = logging.getLogger(__name__)


def run(config: BenchmarkJob) -> dict[str, Any]:
    """Measure the cells that are asked for and not measured yet, and print all that are asked for.

    Raises:
        UserError: a scheme that a shape cannot have, too many threads, too little room.
    """
    settings = config.benchmark.encoder
    check_threads(settings.threads, "benchmark.encoder.threads")
    _check_schemes(config)
    storage = open_storage(config.storage.path)
    root = storage.root / "benchmarks" / "encoder"
    folders = {shape.name: root / f"{shape.name}-{_files_key(config, shape)}" for shape in settings.shapes}
    not_made = [shape for shape in settings.shapes if not folders[shape.name].is_dir()]
    check_free(storage.root, DISK_BYTES_PER_PARAMETER * sum(num_parameters(shape) for shape in not_made))
    results = root / f"{_results_key(settings, folders)}.jsonl"
    cells: list[Cell] = [(n, b, t) for t in settings.threads for b in settings.batches for n in settings.lengths]
    done = read_cells(results, CELL)
    missing = [cell for cell in cells if not is_measured(done.get(cell), settings.rounds)]
    log.info(f"{len(cells)} cells, {len(cells) - len(missing)} of them measured before; results: {results}")
    if missing:
        paths, left_out = _files(config, folders)
        _check_memory(paths)
        for cell in missing:
            done[cell] = _measure(settings, paths, left_out, cell, config.seed)
            append_cell(results, done[cell])
            log.info(f"\n{cell_text(done[cell], settings.references)}\n")
    records = [done[cell] for cell in cells]
    log.info(f"\n{text_table(ratio_lines(records, settings.references))}")
    return {"results": str(results), "cells": [_summary(record, settings.references) for record in records]}


def _check_schemes(config: BenchmarkJob) -> None:
    mistakes = Mistakes()
    for shape in config.benchmark.encoder.shapes:
        for scheme in shape.schemes:
            with mistakes.noted():
                check_scheme(model_config_of(shape), scheme_of(scheme, config.recipe.quantization))
    mistakes.tell()


def _files_key(config: BenchmarkJob, shape: EncoderShapeConfig) -> str:
    """The name of everything that decides about the files of a shape, the code that exports among it."""
    quantization = decisions(config.recipe.quantization)
    return config_hash(model_config_of(shape).to_dict(), config.seed, quantization, export_sources())


def _results_key(settings: EncoderBenchmarkConfig, folders: dict[str, Path]) -> str:
    """The name of everything that the cells of one file have in common; how often they are sampled they say."""
    schemes = {shape.name: shape.schemes for shape in settings.shapes}
    names = [folder.name for folder in folders.values()]
    return config_hash(names, schemes, settings.attentions, settings.variants, machine_name(), releases())


def _files(config: BenchmarkJob, folders: dict[str, Path]) -> tuple[dict[str, Path], dict[str, str]]:
    """Name of every contender -> the folder of its file, made now if need be; and of those that can have none why."""
    paths: dict[str, Path] = {}
    left_out: dict[str, str] = {}
    settings, quantization = config.benchmark.encoder, config.recipe.quantization
    for shape in settings.shapes:  # one after the other: what files are made of does not stay in memory
        folder = folders[shape.name]
        files = ModelFiles(model_of(shape), model_config_of(shape), quantization, config.seed, folder)
        found, refused = files.paths(encoder_contenders(settings, shape))
        paths, left_out = paths | found, left_out | refused
    return paths, left_out


def _check_memory(paths: dict[str, Path]) -> None:
    """All workers of a cell are alive at the same time.

    Raises:
        UserError: less is free.
    """
    sizes = [sum(file.stat().st_size for file in path.iterdir() if file.is_file()) for path in paths.values()]
    needed, free = len(sizes) * WORKER_BYTES + FILE_FACTOR * sum(sizes), psutil.virtual_memory().available
    if needed > free:
        raise UserError(
            f"{len(sizes)} models side by side need about {needed / 2**30:.1f} GiB of memory",
            f"{free / 2**30:.1f} GiB here",
            "leave shapes, attentions or schemes out of benchmark.encoder",
        )


def _measure(
    settings: EncoderBenchmarkConfig,
    paths: dict[str, Path],
    left_out: dict[str, str],
    cell: Cell,
    seed: int,
) -> dict[str, Any]:
    """The record of one cell."""
    length, batch, threads = cell
    vocabulary = Vocabulary(size=min(shape.vocabulary for shape in settings.shapes))  # all know its tokens
    sampling = Sampling(
        source=random_rows(batch, length, vocabulary, random.Random(seed)),
        new_tokens=0,
        rounds=settings.rounds,
        seconds=settings.sample_seconds,
        max_other_load=allowed_load(threads, settings.max_other_load),
    )
    record = {
        **dict(zip(CELL, cell, strict=True)),
        **{name: getattr(settings, name) for name in ("rounds", "sample_seconds")},
        "max_other_load": sampling.max_other_load,
        "load_before": os.getloadavg()[0],
        "machine": machine_name(),
        "releases": releases(),
        "memory_bytes_per_second": read_bandwidth(),
        "left_out": left_out,
    }
    pairs = [(shape, one) for shape in settings.shapes for one in encoder_contenders(settings, shape)]
    pairs = [(shape, one) for shape, one in pairs if one.name in paths]
    measured = measure_side_by_side(
        *([one for _, one in pairs], paths, threads, sampling, FORWARD_MS),
        timeout_seconds=settings.timeout_seconds,
        title=f"{length} tokens, batch {batch}, {threads} threads",
    )
    rows = [
        {
            **asdict(one),
            "shape": shape.name,
            "is_fp32": one.scheme == FLOAT,
            "multiplications": batch * multiplications(shape, length),
            "file_bytes": bytes_on_disk(one, paths[one.name]),
            **measured[one.name],
        }
        for shape, one in pairs
    ]
    return {**record, "contenders": rows}


def _summary(record: dict[str, Any], references: list[str]) -> dict[str, Any]:
    """A cell without details: what a program may want to know."""
    rows = {}
    for row in record["contenders"]:
        ratios = {name: ratio_to(name, row, record) for name in references}
        rows[row["name"]] = {
            "ms": milliseconds(row),
            "spread": row["times"]["forward_ms"],
            "processor_ms": processor_milliseconds(row),
            "ratios": {name: asdict(ratio) for name, ratio in ratios.items() if ratio is not None},
            "error": row["error"],
        }
    return {**{name: record[name] for name in (*CELL, "left_out")}, "contenders": rows}
