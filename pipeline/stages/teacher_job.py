"""The job `finetune_teacher`: data, then the teacher."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from pipeline.config.schema import JobConfig
from pipeline.stages import teacher
from pipeline.stages.job import open_job
from pipeline.stages.possible import check_teacher_room
from pipeline.stages.precheck import check_teacher


def run(config: JobConfig) -> dict[str, Any]:
    """Fine-tune a teacher; the document says where it lies and how good it is."""
    check_teacher(config)
    job = open_job(config)
    check_teacher_room(job)
    return {"status": "finished", **asdict(teacher.run(job.config, job.storage, job.task))}
