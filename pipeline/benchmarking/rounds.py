"""Rounds of samples: live workers are asked in turns, and samples that other processes disturbed do not count."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
import psutil

from pipeline.benchmarking.workers import WorkerError

MAX_ROUNDS = 2  # times the wanted number of samples, on a machine that is busy


class Worker(Protocol):
    """What a round asks of a worker; see `LiveWorker`."""

    def sample(self, source: list[list[int]], new_tokens: int, seconds: float) -> dict[str, Any]:
        """Times of one sample."""
        ...

    def processor_seconds(self) -> float:
        """Processor time that it has used."""
        ...


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How samples are taken.

    Args:
        source: (rows, source tokens), the same for all.
        new_tokens: decoding steps; 0 of encoders that classify.
        rounds: samples of every worker that count.
        seconds: what a sample repeats its run for.
        max_other_load: cores that other processes may use during a sample.
    """

    source: list[list[int]]
    new_tokens: int
    rounds: int
    seconds: float
    max_other_load: float


@dataclass(frozen=True, kw_only=True)
class TimedSample:
    """One sample and what else happened meanwhile."""

    encode_ms: float
    decode_ms: float
    processor_ms: float  # processor time of a run, of all threads
    other_load: float  # cores


Quantities = Mapping[str, Callable[[TimedSample], float]]  # name -> milliseconds of a sample


@dataclass(frozen=True, kw_only=True)
class Spread:
    """Median and the middle four fifths of some numbers."""

    median: float
    p10: float
    p90: float


@dataclass(frozen=True, kw_only=True)
class Times:
    """The samples of one worker; no times where none counts."""

    spreads: dict[str, Spread | None]  # by quantity
    num_kept: int
    num_dropped: int
    other_load: float | None  # median of all samples, in cores

    def record(self) -> dict[str, Any]:
        """As it is written down: quantities beside the numbers of samples."""
        whole = asdict(self)
        return {**whole.pop("spreads"), **whole}


def generation_ms(new_tokens: int) -> Quantities:
    """What is told of a generation; a token is a step, which gives one of every row."""
    return {
        "encode_ms": lambda sample: sample.encode_ms,
        "token_ms": lambda sample: sample.decode_ms / new_tokens,
        "total_ms": lambda sample: sample.encode_ms + sample.decode_ms,
    }


FORWARD_MS: Quantities = {"forward_ms": lambda sample: sample.encode_ms}  # a classifier decodes nothing


def take_rounds(
    workers: Mapping[str, Worker],
    sampling: Sampling,
    on_round: Callable[[int], None] = lambda _: None,
    load: Callable[[Worker], Callable[[], float]] | None = None,
) -> tuple[dict[str, list[TimedSample]], dict[str, str]]:
    """One sample of every worker a round, in an order that rotates.

    Rounds go on until every worker has as many samples as are wanted that count, but not for ever.

    Args:
        workers: by name; all of them are ready.
        sampling: what is asked.
        on_round: told how many rounds are done.
        load: begins to watch the load beside a worker, and says it at the end; by default that of this machine.

    Returns:
        samples by name, and of workers that failed why.
    """
    watch = load or OtherLoad
    samples: dict[str, list[TimedSample]] = {name: [] for name in workers}
    failed: dict[str, str] = {}

    def ask(name: str, seconds: float) -> None:
        meanwhile = watch(workers[name])
        try:
            answer = workers[name].sample(sampling.source, sampling.new_tokens, seconds)
        except WorkerError as error:
            failed[name] = str(error)
            return
        times = {key: float(answer[key]) for key in ("encode_ms", "decode_ms", "processor_ms")}
        samples[name].append(TimedSample(**times, other_load=meanwhile()))

    for name in workers:
        ask(name, 0.0)  # first calls allocate
        samples[name].clear()
    for index in range(MAX_ROUNDS * sampling.rounds):
        alive = [name for name in workers if name not in failed]
        if all(len(kept(samples[name], sampling.max_other_load)) >= sampling.rounds for name in alive):
            break
        for name in rotated(alive, index):
            ask(name, sampling.seconds)
        on_round(index + 1)
    return samples, failed


class OtherLoad:
    """The cores that everything but one worker used since it was made; call it to know.

    Time that a hypervisor gave to other machines counts, too.
    """

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self.start = self._now()

    def __call__(self) -> float:
        """Cores, on average."""
        (wall, busy), (wall_before, busy_before) = self._now(), self.start
        return max(0.0, busy - busy_before) / max(wall - wall_before, 1e-9)

    def _now(self) -> tuple[float, float]:
        times = psutil.cpu_times()._asdict()
        idle = times["idle"] + times.get("iowait", 0.0)
        # Linux counts guests twice.
        busy = sum(times.values()) - idle - times.get("guest", 0.0) - times.get("guest_nice", 0.0)
        return time.perf_counter(), busy - self.worker.processor_seconds()


def kept(samples: Sequence[TimedSample], max_other_load: float) -> list[TimedSample]:
    """The samples that other processes did not disturb."""
    return [sample for sample in samples if sample.other_load <= max_other_load]


def times_of(samples: Sequence[TimedSample], max_other_load: float, quantities: Quantities) -> Times:
    """Medians and spread of the samples that count.

    Args:
        samples: all of one worker.
        max_other_load: as of `Sampling`.
        quantities: name -> what is computed of a sample.
    """
    good = kept(samples, max_other_load)
    return Times(
        spreads={name: spread([quantity(sample) for sample in good]) for name, quantity in quantities.items()},
        num_kept=len(good),
        num_dropped=len(samples) - len(good),
        other_load=float(np.median([sample.other_load for sample in samples])) if samples else None,
    )


def spread(values: Sequence[float]) -> Spread | None:
    """Median, 10th and 90th percentile; nothing of nothing."""
    if not values:
        return None
    p10, median, p90 = np.percentile(values, (10, 50, 90))
    return Spread(median=float(median), p10=float(p10), p90=float(p90))


def rotated(names: Sequence[str], by: int) -> list[str]:
    """Nobody is always first."""
    start = by % len(names) if names else 0
    return [*names[start:], *names[:start]]


def samples_text(times: Mapping[str, Any]) -> str:
    """How many samples of a record count, and of how many where some do not."""
    num_kept, num_dropped = times["num_kept"], times["num_dropped"]
    return f"{num_kept} of {num_kept + num_dropped}" if num_dropped else f"{num_kept}"
