"""Fine-tune a teacher on a task (or pre-train it by denoising or masked tokens) and keep the best checkpoint."""

import sys
from typing import Any

from pipeline.config.jobs.finetune_teacher import TeacherJob
from pipeline.stages.command import main
from pipeline.stages.on_cluster import on_cluster
from pipeline.stages.teacher.precheck import check_teacher


def run(config: TeacherJob) -> dict[str, Any]:
    """The job."""
    from pipeline.stages.teacher import job as teacher_job  # after the arguments: what it imports takes many seconds

    return teacher_job.run(config)


if __name__ == "__main__":
    sys.exit(main(TeacherJob, __doc__, run, check=check_teacher, place=on_cluster))
