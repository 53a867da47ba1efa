"""Fine-tune a small model on scarce data with what a teacher says of points near its mistakes."""

import sys
from typing import Any

from pipeline.config.jobs.agora_finetune import AgoraJob
from pipeline.stages.agora.precheck import check_agora
from pipeline.stages.command import main
from pipeline.stages.on_cluster import on_cluster


def run(config: AgoraJob) -> dict[str, Any]:
    """The job."""
    from pipeline.stages.agora import job as agora_job  # after the arguments: what it imports takes many seconds

    return agora_job.run(config)


def dry_run(config: AgoraJob) -> dict[str, Any]:
    """Its plan alone."""
    from pipeline.stages.agora import job as agora_job

    return agora_job.dry_run(config)


if __name__ == "__main__":
    sys.exit(main(AgoraJob, __doc__, run, dry_run, check=check_agora, place=on_cluster))
