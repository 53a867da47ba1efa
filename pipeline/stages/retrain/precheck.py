"""What of a night is known to be wrong before anything heavy is imported."""

from __future__ import annotations

from pipeline.config.errors import Mistakes
from pipeline.config.jobs.retrain import RetrainJob
from pipeline.stages.retrain.settings import sweep_with
from pipeline.stages.sweep.precheck import check_sweep


def check_night(config: RetrainJob, mistakes: Mistakes | None = None) -> None:
    """Refuse a night that cannot be; of a rollback only where it looks.

    What lies in the files tonight is no mistake of whoever wrote the settings: the night itself refuses it.

    Raises:
        UserError: whatever settings, paths and the model's own configuration tell.
    """
    mistakes = mistakes or Mistakes()
    if not config.retrain.rollback:
        of_sweep = Mistakes()
        of_sweep.unknown |= {*mistakes.unknown, "data"}
        with mistakes.noted():
            check_sweep(sweep_with(config, config.data, config.task, config.model), of_sweep)
    mistakes.tell()
