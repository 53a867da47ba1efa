"""The job `benchmark`: measurements by name."""

from __future__ import annotations

from typing import Any

from pipeline.config.jobs.benchmark import BenchmarkJob
from pipeline.stages.benchmark import cohort, encoders, generation, parity, runtimes, search

BENCHMARKS = {
    "generation": generation.run,
    "cohort": cohort.run,
    "runtime": runtimes.run,
    "parity": parity.run,
    "encoder": encoders.run,
    "search": search.run,
}


def run(config: BenchmarkJob) -> dict[str, Any]:
    """Run the benchmark that `benchmark.kind` names."""
    return {"status": "finished", "kind": config.benchmark.kind, **BENCHMARKS[config.benchmark.kind](config)}
