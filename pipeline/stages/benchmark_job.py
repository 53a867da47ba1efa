"""The job `benchmark`: measurements by name."""

from __future__ import annotations

from typing import Any

from pipeline.config.schema import JobConfig
from pipeline.stages import cohort_benchmark, generation_benchmark, parity_benchmark, runtime_benchmark

BENCHMARKS = {
    "generation": generation_benchmark.run,
    "cohort": cohort_benchmark.run,
    "runtime": runtime_benchmark.run,
    "parity": parity_benchmark.run,
}


def run(config: JobConfig) -> dict[str, Any]:
    """Run the benchmark that `benchmark.kind` names."""
    return {"status": "finished", "kind": config.benchmark.kind, **BENCHMARKS[config.benchmark.kind](config)}
