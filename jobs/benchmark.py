"""Measure what the project claims about its own speed, side by side in one run."""

import sys
from typing import Any

from pipeline.config.jobs.benchmark import BenchmarkJob
from pipeline.stages.benchmark.precheck import check_benchmark
from pipeline.stages.command import main


def run(config: BenchmarkJob) -> dict[str, Any]:
    """The job."""
    from pipeline.stages.benchmark import (
        job as benchmark_job,  # after the arguments: what it imports takes many seconds
    )

    return benchmark_job.run(config)


if __name__ == "__main__":
    sys.exit(main(BenchmarkJob, __doc__, run, check=check_benchmark))
