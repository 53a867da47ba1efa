"""Milliseconds of candidates, measured: packages of students or classifiers, in torch and as graphs in ONNX Runtime.

Every runtime is one live process that holds the models of a chunk of candidates. All models of all processes are asked
in turns, one sample a round, so that a busy machine is unfair to all; a process for each model, as in the benchmark of
runtimes, would need the memory and the start of torch for each of them, and one process for all would let the threads
of one runtime wait beside the other's. Nothing of the job itself runs in these processes, and its own load counts as
other load.

A chunk's records are written when it ends, and a candidate whose record is there is not measured again, so that an
interrupted measurement loses a chunk at most. `latency_records.py` says how chunks are compared.
"""

from __future__ import annotations

import logging
import random
import shutil
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.benchmarking.conditions import allowed_load, check_threads, export_sources, machine_name
from pipeline.benchmarking.engines.engine import releases
from pipeline.benchmarking.rounds import Sampling, TimedSample, take_rounds
from pipeline.benchmarking.workers import LiveModel, LiveWorker, WorkerError
from pipeline.config.errors import UserError
from pipeline.config.keys import config_hash
from pipeline.config.sections.search import TORCH, LatencyConfig
from pipeline.console.progress import ProgressBar
from pipeline.export.onnx.export_once import exported_once
from pipeline.export.package import MANIFEST, file_bytes
from pipeline.models.families import family_of
from pipeline.models.load import pretrained_config
from pipeline.runtime.manifest import model_bytes
from pipeline.stages.random_tokens import Vocabulary, check_positions, random_rows
from pipeline.stages.search.latency_records import (
    LatencyRecord,
    RuntimeSamples,
    Timing,
    read_record,
    timings_of,
    write_record,
)
from pipeline.storage.digests import sha256_of

CONDITIONS = ("source_tokens", "new_tokens", "batch", "threads")  # settings without which times are other times
LENGTHS = "set search.latency.source_tokens and new_tokens"

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """What all chunks have in common.

    Args:
        packages: folders by the names of candidates.
        reference: name of the candidate that takes its turns with every chunk.
        settings: how times are taken.
        sampling: the same, as rounds know it.
        folder: where records lie.
        conditions: settings, machine and releases.
    """

    packages: Mapping[str, Path]
    reference: str
    settings: LatencyConfig
    sampling: Sampling
    folder: Path
    conditions: dict[str, Any]

    def keys(self) -> dict[str, str]:
        """By candidate: of everything that its record depends on, but for how often it was sampled."""
        digests = {name: sha256_of(package / MANIFEST) for name, package in self.packages.items()}
        shared = config_hash(digests[self.reference], self.sampling.source, self.conditions, export_sources())
        return {name: config_hash(digest, shared) for name, digest in digests.items()}

    def graphs(self, name: str, variant: str) -> Path:
        """Where a candidate's graphs lie while it is measured."""
        return self.folder / "graphs" / f"{sha256_of(self.packages[name] / MANIFEST)[:16]}-{variant}"


def time_packages(
    packages: Mapping[str, Path], reference: str, settings: LatencyConfig, folder: Path, seed: int = 0
) -> dict[str, dict[str, Timing]]:
    """The times of all packages; those whose record lies in the folder are not measured again.

    It may be called with some of the packages after the other, always with the reference among them, so that not all
    need lie on the disk at once. What the last call returns is of the packages that it was given.

    Args:
        packages: of students that generate or of classifiers, by names that are part of file names.
        reference: the name of one of them, which takes its turns with every chunk.
        settings: what is timed, how often, in which runtimes.
        folder: of the records, and of graphs while they are needed.
        seed: of the tokens that they read.

    Returns:
        times by candidate and runtime, as in `settings.runtimes`; a runtime that cannot run a candidate is left out,
        with a warning.

    Raises:
        UserError: no reference, names that are none, models with and without decoder, sequences that are too long for
            one of them, more threads than cores, a reference that a runtime cannot run, a model that fails.
    """
    measurement = _measurement(packages, reference, settings, folder, seed)
    keys = measurement.keys()
    records = {name: record for name in packages if (record := _measured(measurement, name, keys[name])) is not None}
    missing = [name for name in packages if name not in records]
    others = [name for name in missing if name != reference]
    chunks = [others[start : start + settings.chunk] for start in range(0, len(others), settings.chunk)]
    if not chunks and missing:
        chunks = [[]]  # the reference alone
    if missing:
        log.info(f"times of {len(packages)} candidates, {len(records)} of them measured before; records: {folder}")
    try:
        bar = ProgressBar("candidates timed", len(packages), done=len(records))
        for chunk in chunks:
            for name, record in _chunk_records(measurement, [reference, *chunk], keys).items():
                if name not in records:
                    write_record(folder, name, record)
                    records[name] = record
            bar.update(len(records))
        bar.close()
    finally:
        shutil.rmtree(folder / "graphs", ignore_errors=True)
    return timings_of({name: records[name] for name in packages})


def _measurement(
    packages: Mapping[str, Path], reference: str, settings: LatencyConfig, folder: Path, seed: int
) -> Measurement:
    if reference not in packages:
        raise UserError(f"reference '{reference}', which is no candidate", f"one of {', '.join(packages)}", "name one")
    check_threads([settings.threads], "search.latency.threads")
    configs = {}
    for name, package in packages.items():
        if Path(name).name != name or name.startswith("."):
            raise UserError(f"a candidate called '{name}'", "names that files can have", "call it something else")
        configs[name] = pretrained_config(str(package), None)
    generating = [name for name, config in configs.items() if family_of(config).decoder is not None]
    if generating and len(generating) < len(configs):
        given = f"{len(generating)} candidates that generate and {len(configs) - len(generating)} that classify"
        raise UserError(given, "candidates of one kind", "time them apart")
    new_tokens = settings.new_tokens if generating else 0
    for config in configs.values():
        check_positions(config, max(settings.source_tokens, new_tokens + 1), LENGTHS)  # the first one is given
    vocabulary = Vocabulary(size=min(config.vocab_size for config in configs.values()))
    return Measurement(
        packages=packages,
        reference=reference,
        settings=settings,
        sampling=Sampling(
            source=random_rows(settings.batch, settings.source_tokens, vocabulary, random.Random(seed)),
            new_tokens=new_tokens,
            rounds=settings.rounds,
            seconds=settings.sample_seconds,
            max_other_load=allowed_load(settings.threads, settings.max_other_load),
        ),
        folder=folder,
        conditions={
            **{name: getattr(settings, name) for name in CONDITIONS},
            "machine": machine_name(),
            "releases": releases(),
        },
    )


def _measured(measurement: Measurement, name: str, key: str) -> LatencyRecord | None:
    """A candidate's record, if it is of these conditions and has every runtime that is asked for."""
    record = read_record(measurement.folder, name)
    if record is None or record.key != key or set(measurement.settings.runtimes) - {*record.runtimes, *record.left_out}:
        return None
    return record


def _chunk_records(measurement: Measurement, names: Sequence[str], keys: Mapping[str, str]) -> dict[str, LatencyRecord]:
    """The records of candidates that take turns.

    Args:
        measurement: what all have in common.
        names: of the candidates, the reference first.
        keys: of their records.
    """
    settings, seconds = measurement.settings, dict.fromkeys(names, 0.0)
    left_out: dict[str, dict[str, str]] = {name: {} for name in names}
    paths: dict[str, dict[str, Path]] = {runtime: {} for runtime in settings.runtimes}
    for name in names:
        start = time.monotonic()
        for runtime in settings.runtimes:
            try:
                paths[runtime][name] = _path(measurement, name, runtime)
            except UserError as error:
                if name == measurement.reference:
                    raise
                left_out[name][runtime] = str(error)
                log.warning(f"{name} has no time in '{runtime}': {error}")
        seconds[name] += time.monotonic() - start
    start = time.monotonic()
    loaded, samples = _sampled(measurement, paths)
    shared = (time.monotonic() - start) / len(names)
    return {
        name: LatencyRecord(
            key=keys[name],
            seconds=seconds[name] + shared,
            max_other_load=measurement.sampling.max_other_load,
            conditions=measurement.conditions,
            runtimes={
                runtime: RuntimeSamples(
                    file_bytes=file_bytes(path) if runtime == TORCH else model_bytes(path),
                    load_ms=loaded[runtime, name],
                    samples=samples[runtime, name],
                    reference=samples[runtime, measurement.reference],
                )
                for runtime in settings.runtimes
                if (path := paths[runtime].get(name)) is not None
            },
            left_out=left_out[name],
        )
        for name in names
    }


def _path(measurement: Measurement, name: str, runtime: str) -> Path:
    """The files of a candidate that a runtime reads, made now if need be."""
    if runtime == TORCH:
        return measurement.packages[name]
    graphs = measurement.graphs(name, runtime)
    exported_once(measurement.packages[name], graphs, runtime)
    return graphs


Model = tuple[str, str]  # runtime, candidate


def _sampled(
    measurement: Measurement, paths: Mapping[str, Mapping[str, Path]]
) -> tuple[dict[Model, float], dict[Model, list[TimedSample]]]:
    """Milliseconds of loading and the samples of every model, by runtime and candidate.

    Raises:
        UserError: one of them failed.
    """
    settings = measurement.settings
    models: dict[Model, LiveModel] = {}
    loaded: dict[Model, float] = {}
    with ExitStack() as processes:
        for runtime, of_candidates in paths.items():
            worker = processes.enter_context(
                LiveWorker(
                    "package" if runtime == TORCH else "onnxruntime",
                    of_candidates,
                    settings.threads,
                    {},
                    timeout_seconds=settings.timeout_seconds,
                )
            )
            try:
                loaded |= {(runtime, name): milliseconds for name, milliseconds in worker.loaded().items()}
            except WorkerError as error:
                raise _failed(f"{', '.join(of_candidates)} in '{runtime}'", str(error)) from error
            models |= {(runtime, name): LiveModel(worker, name) for name in of_candidates}
        # One candidate's runtimes follow each other.
        order = sorted(models, key=lambda model: list(measurement.packages).index(model[1]))
        labels = {f"{name} in '{runtime}'": (runtime, name) for runtime, name in order}
        samples, failed = take_rounds({label: models[labels[label]] for label in labels}, measurement.sampling)
    for label, reason in failed.items():
        raise _failed(label, reason)
    return loaded, {labels[label]: found for label, found in samples.items()}


def _failed(what: str, reason: str) -> UserError:
    return UserError(
        f"{what} could not be timed: {reason}",
        "candidates that this machine can run",
        "leave them out of the space, set search.latency.chunk lower or timeout_seconds higher",
    )
