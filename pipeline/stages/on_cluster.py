"""Where a job with workers runs: in this process, or on Ray in a driver that may be lost."""

from __future__ import annotations

import logging
from collections.abc import Callable

from pipeline.cluster.driver import DriverLostError, in_driver
from pipeline.config.jobs import RunsWorkers
from pipeline.config.submission import submission

LOST_SECONDS = 30.0  # for an MLflow that may be lost too

log = logging.getLogger(__name__)


def on_cluster(config: RunsWorkers, finish: Callable[[], int], tell: Callable[[DriverLostError], int]) -> int:
    """Do a job to its end where its cluster says; the exit code.

    Where the process in which it is done ends before it, that is told, and its runs are marked as failed. Of a job that
    was submitted to Ray little time is left then: Ray's own watch kills it a second after its supervisor is lost.

    Args:
        config: of the job.
        finish: does it.
        tell: says how the driver was lost; the exit code.
    """
    if config.cluster.launcher == "process":
        return finish()
    name = submission()  # before the driver is made, whose runs carry it
    try:
        return in_driver(finish)
    except DriverLostError as lost:
        code = tell(lost)
        _fail_left_runs(config, name, str(lost))
        return code


def _fail_left_runs(config: RunsWorkers, name: str, reason: str) -> None:
    from pipeline.stages.runs import open_tracker  # what it imports takes seconds

    try:
        open_tracker(config, retry_seconds=LOST_SECONDS).fail_submission(name, reason)
    except Exception as error:  # it must not hide why the driver was lost
        log.warning(f"runs of this job may still be shown as running: {type(error).__name__}: {error}")
