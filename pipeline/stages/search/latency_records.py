"""What was measured of candidates, and how their times compare though they were not taken at the same time.

Candidates that take turns are disturbed alike; those of another hour may have met a slower machine. One of them, the
reference, takes its turns with every chunk, and its time says how fast the machine was: a candidate's times are
multiplied by the reference's time in all chunks over its time in that chunk. What does not change thereby is the ratio
of two candidates of one chunk.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.benchmarking.rounds import TimedSample, kept
from pipeline.storage.sealed_json import found_json, sealed_json


@dataclass(frozen=True, kw_only=True)
class RuntimeSamples:
    """The samples of one candidate in one runtime.

    Args:
        file_bytes: weights, and graphs where there are any.
        load_ms: what loading took.
        samples: all of them.
        reference: those of the reference in the same rounds.
    """

    file_bytes: int
    load_ms: float
    samples: list[TimedSample]
    reference: list[TimedSample]


@dataclass(frozen=True, kw_only=True)
class LatencyRecord:
    """What was measured of one candidate.

    Args:
        key: of everything that its times depend on.
        seconds: that measuring it took, making its graphs included.
        max_other_load: cores that other processes might use during a sample that counts.
        conditions: for people: settings, machine, releases.
        runtimes: its samples by runtime.
        left_out: runtimes that cannot run it, and why.
    """

    key: str
    seconds: float
    max_other_load: float
    conditions: dict[str, Any]
    runtimes: dict[str, RuntimeSamples]
    left_out: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class Timing:
    """How long one candidate takes in one runtime, whole sequences, at the reference's speed in all chunks.

    Args:
        median_ms: of the samples.
        lower_ms: first quartile.
        upper_ms: third quartile.
        encode_ms: median of the encoder's part; of a classifier it is all.
        processor_ms: median of the processor time that all threads used, brought to one speed in the same way, by the
            reference's processor time: on a machine that is never left alone it is nearly what one thread would take
            there if it were.
        processor_spread_ms: half the width of the middle half of that.
        num_samples: samples that these numbers are of.
        num_disturbed: samples beside which other processes used more of the processors than they might.
        is_disturbed: whether disturbed samples count here, because there were not enough others.
        other_load: cores that other processes used: median of all samples.
        relative: median by the reference's in the same rounds.
        drift: the reference's time in these rounds by that in all chunks.
    """

    median_ms: float
    lower_ms: float
    upper_ms: float
    encode_ms: float
    processor_ms: float
    processor_spread_ms: float
    num_samples: int
    num_disturbed: int
    is_disturbed: bool
    other_load: float
    relative: float
    drift: float

    @property
    def spread_ms(self) -> float:
        """Half the width of the middle half of the samples."""
        return (self.upper_ms - self.lower_ms) / 2


def record_path(folder: Path, name: str) -> Path:
    """Where the record of a candidate lies."""
    return folder / f"{name}.json"


def write_record(folder: Path, name: str, record: LatencyRecord) -> None:
    """Write a candidate's record, whole or not at all."""
    sealed_json(record_path(folder, name), asdict(record))


def read_record(folder: Path, name: str) -> LatencyRecord | None:
    """The record of a candidate; nothing where there is none that this version can read: it is measured again."""
    try:
        found = found_json(record_path(folder, name), "it is measured again")
        if found is None:
            return None
        runtimes = {
            runtime: RuntimeSamples(
                file_bytes=entry["file_bytes"],
                load_ms=entry["load_ms"],
                samples=[TimedSample(**sample) for sample in entry["samples"]],
                reference=[TimedSample(**sample) for sample in entry["reference"]],
            )
            for runtime, entry in found.pop("runtimes").items()
        }
        return LatencyRecord(**found, runtimes=runtimes)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def timings_of(records: Mapping[str, LatencyRecord]) -> dict[str, dict[str, Timing]]:
    """The times of candidates by name and runtime, brought to one speed.

    Args:
        records: by name, all with one reference.
    """
    chunks: dict[str, list[Reference]] = {}
    for record in records.values():
        for runtime, found in record.runtimes.items():
            chunks.setdefault(runtime, []).append(_reference(found, record.max_other_load))
    in_all = {
        runtime: Reference(
            total_ms=float(np.median([one.total_ms for one in found])),
            processor_ms=float(np.median([one.processor_ms for one in found])),
        )
        for runtime, found in chunks.items()
    }
    return {
        name: {
            runtime: _timing(samples, record.max_other_load, in_all[runtime])
            for runtime, samples in record.runtimes.items()
        }
        for name, record in records.items()
    }


@dataclass(frozen=True, kw_only=True)
class Reference:
    """Medians of the reference: of one chunk, or of all."""

    total_ms: float
    processor_ms: float


def _reference(found: RuntimeSamples, max_other_load: float) -> Reference:
    counted, _ = _counted(found.reference, max_other_load)
    return Reference(
        total_ms=float(np.median([total_ms(sample) for sample in counted])),
        processor_ms=float(np.median([sample.processor_ms for sample in counted])),
    )


def _timing(found: RuntimeSamples, max_other_load: float, in_all: Reference) -> Timing:
    counted, is_disturbed = _counted(found.samples, max_other_load)
    here = _reference(found, max_other_load)
    drift, processor_drift = here.total_ms / in_all.total_ms, here.processor_ms / in_all.processor_ms
    lower, median, upper = np.percentile([total_ms(sample) for sample in counted], (25, 50, 75))
    used = np.percentile([sample.processor_ms for sample in counted], (25, 50, 75)) / processor_drift
    return Timing(
        median_ms=float(median / drift),
        lower_ms=float(lower / drift),
        upper_ms=float(upper / drift),
        encode_ms=float(np.median([sample.encode_ms for sample in counted]) / drift),
        processor_ms=float(used[1]),
        processor_spread_ms=float(used[2] - used[0]) / 2,
        num_samples=len(counted),
        num_disturbed=len(found.samples) - len(kept(found.samples, max_other_load)),
        is_disturbed=is_disturbed,
        other_load=float(np.median([sample.other_load for sample in found.samples])),
        relative=float(median / here.total_ms),
        drift=drift,
    )


def total_ms(sample: TimedSample) -> float:
    """Of the whole sequence."""
    return sample.encode_ms + sample.decode_ms


def _counted(samples: Sequence[TimedSample], max_other_load: float) -> tuple[Sequence[TimedSample], bool]:
    """The undisturbed samples; where they are fewer than a third, all of them, and that it is so.

    A few undisturbed ones are still medians; of a machine that is never left alone there would be no time at all.
    """
    good = kept(samples, max_other_load)
    return (good, False) if 3 * len(good) >= len(samples) else (samples, True)
