"""Live workers with one model each, loaded one after the other and asked in turns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pipeline.benchmarking.contenders import Contender
from pipeline.benchmarking.rounds import Quantities, Sampling, take_rounds, times_of
from pipeline.benchmarking.workers import LiveModel, LiveWorker, WorkerError
from pipeline.console.progress import ProgressBar


def measure_side_by_side(
    contenders: Sequence[Contender],
    paths: Mapping[str, Path],
    threads: int,
    sampling: Sampling,
    quantities: Quantities,
    *,
    timeout_seconds: float,
    title: str,
) -> dict[str, dict[str, Any]]:
    """Times, memory and mistakes of every contender, by name, as they are written down.

    Args:
        contenders: who is asked.
        paths: name of a contender -> its file's folder.
        threads: of every worker.
        sampling: what is asked, and how often.
        quantities: what is told of the stages of a sample.
        timeout_seconds: longest silence of a worker.
        title: of the progress bar.
    """
    models: dict[str, LiveModel] = {}
    loaded: dict[str, float] = {}
    failed: dict[str, str] = {}
    with ExitStack() as open_workers:
        for contender in contenders:  # one after the other: loading is timed, too
            path = {contender.name: paths[contender.name]}
            started = LiveWorker(contender.engine, path, threads, contender.options, timeout_seconds=timeout_seconds)
            worker = open_workers.enter_context(started)
            try:
                loaded |= worker.loaded()
                models[contender.name] = LiveModel(worker, contender.name)
            except WorkerError as error:
                failed[contender.name] = str(error)
        bar = ProgressBar(title, sampling.rounds)
        samples, lost = take_rounds(models, sampling, lambda n: bar.update(n, total=max(n, sampling.rounds)))
        bar.close()
        failed |= lost
        resident = {name: model.worker.resident_bytes() for name, model in models.items() if name not in failed}
    return {
        contender.name: {
            "times": times_of(samples.get(contender.name, []), sampling.max_other_load, quantities).record(),
            "samples": [asdict(sample) for sample in samples.get(contender.name, [])],
            "load_ms": loaded.get(contender.name),
            "resident_bytes": resident.get(contender.name),
            "error": failed.get(contender.name),
        }
        for contender in contenders
    }
