"""What of a night is known to be wrong before anything heavy is imported."""

from __future__ import annotations

from pipeline.config.errors import Mistakes
from pipeline.config.jobs.retrain import RetrainJob
from pipeline.serving.probe import check_environment
from pipeline.stages.retrain.ledger import FILE
from pipeline.stages.retrain.settings import names_students, sweep_with
from pipeline.stages.sweep.precheck import check_sweep
from pipeline.storage.layout import personal_path


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
        if not names_students(config.sweep) and has_ledger(config):
            of_sweep.unknown.add("sweep")  # students are as the champion, which only the registry knows
        with mistakes.noted():
            check_sweep(sweep_with(config, config.data, config.task, config.model), of_sweep)
    if config.retrain.probe_examples:
        with mistakes.noted():
            check_environment(config.retrain.probe_environment)
    mistakes.tell()


def has_ledger(config: RetrainJob) -> bool:
    """Whether there were nights of this name."""
    return (personal_path(config.storage.path) / "retrain" / config.retrain.name / FILE).is_file()
