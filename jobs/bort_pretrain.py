"""Pre-train a small masked LM with the help of a large one, and say what the help was worth."""

import sys
from typing import Any

from pipeline.config.jobs.bort_pretrain import PretrainJob
from pipeline.stages.command import main
from pipeline.stages.on_cluster import on_cluster
from pipeline.stages.pretrain.precheck import check_pretraining


def run(config: PretrainJob) -> dict[str, Any]:
    """The job."""
    from pipeline.stages.pretrain import job as pretrain_job  # after the arguments: its imports take many seconds

    return pretrain_job.run(config)


def dry_run(config: PretrainJob) -> dict[str, Any]:
    """Its plan alone."""
    from pipeline.stages.pretrain import job as pretrain_job

    return pretrain_job.dry_run(config)


if __name__ == "__main__":
    sys.exit(main(PretrainJob, __doc__, run, dry_run, check=check_pretraining, place=on_cluster))
