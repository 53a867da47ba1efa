"""What of a teacher's training is known to be wrong before anything heavy is imported."""

from __future__ import annotations

from pipeline.config.errors import Mistakes
from pipeline.config.jobs.finetune_teacher import TeacherJob
from pipeline.stages.precheck import check_model, check_surroundings


def check_teacher(config: TeacherJob, mistakes: Mistakes | None = None) -> None:
    """Refuse a teacher that cannot be.

    Raises:
        UserError: whatever settings, paths and the model's own configuration tell.
    """
    mistakes = mistakes or Mistakes()
    check_surroundings(config, mistakes)
    check_model(config, [], mistakes)
    mistakes.tell()
