"""Train a cohort of distilled and quantized students, pack and evaluate each, and compare them in MLflow."""

import sys
from typing import Any

from pipeline.config.schema import JobConfig
from pipeline.stages.command import main
from pipeline.stages.precheck import check_sweep


def run(config: JobConfig) -> dict[str, Any]:
    """The job."""
    from pipeline.stages.sweep import job as sweep_job  # after the arguments: what it imports takes many seconds

    return sweep_job.run(config)


def dry_run(config: JobConfig) -> dict[str, Any]:
    """Its plan alone."""
    from pipeline.stages.sweep import job as sweep_job

    return sweep_job.dry_run(config)


if __name__ == "__main__":
    sys.exit(main("dq_sweep", __doc__, run, dry_run, check=check_sweep))
