"""Train a cohort of distilled and quantized students, pack and evaluate each, and compare them in MLflow."""

import sys
from typing import Any

from pipeline.config.jobs.dq_sweep import SweepJob
from pipeline.stages.command import main
from pipeline.stages.on_cluster import on_cluster
from pipeline.stages.sweep.precheck import check_sweep


def run(config: SweepJob) -> dict[str, Any]:
    """The job."""
    from pipeline.stages.sweep import job as sweep_job  # after the arguments: what it imports takes many seconds

    return sweep_job.run(config)


def dry_run(config: SweepJob) -> dict[str, Any]:
    """Its plan alone."""
    from pipeline.stages.sweep import job as sweep_job

    return sweep_job.dry_run(config)


if __name__ == "__main__":
    sys.exit(main(SweepJob, __doc__, run, dry_run, check=check_sweep, place=on_cluster))
