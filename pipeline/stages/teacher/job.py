"""The job `finetune_teacher`: data, then the teacher."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from pipeline.config.jobs.finetune_teacher import TeacherJob
from pipeline.stages.job import open_job
from pipeline.stages.teacher import fine_tune
from pipeline.stages.teacher.precheck import check_teacher
from pipeline.stages.teacher.room import check_teacher_room


def run(config: TeacherJob) -> dict[str, Any]:
    """Fine-tune a teacher; the document says where it lies and how good it is."""
    check_teacher(config)
    job = open_job(config)
    check_teacher_room(job)
    return {"status": "finished", **asdict(fine_tune.run(job.config, job.storage, job.task))}
