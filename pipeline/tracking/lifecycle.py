"""What was deleted in MLflow: it is still there and can be restored, but it takes nothing until then."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pipeline.config.errors import UserError
from pipeline.config.login import shown

DELETED = "deleted"


def is_deleted(entity: Any) -> bool:
    """Whether an experiment, or the information on a run, is that of a deleted one."""
    return str(entity.lifecycle_stage) == DELETED


def deleted_experiment(client: Any, experiment: Any) -> UserError:
    """What a person is told of a deleted experiment."""
    return UserError(
        f"the MLflow experiment '{experiment.name}' is deleted",
        "an experiment that is there, or a new name",
        f"restore it ({_command(client)} experiments restore --experiment-id {experiment.experiment_id}), or set "
        "tracking.experiment to another name",
    )


def deleted_run(client: Any, run: Any) -> UserError:
    """What a person is told of a deleted run: that its experiment is deleted, if that is why."""
    if is_deleted(experiment := client.get_experiment(run.info.experiment_id)):
        return deleted_experiment(client, experiment)
    return UserError(
        f"run '{run.info.run_name}' ({run.info.run_id}) is deleted in MLflow",
        "a run that is there",
        f"restore it ({_command(client)} runs restore --run-id {run.info.run_id}), or submit its job again, which "
        "makes a new one",
    )


@contextmanager
def told_if_deleted(client: Any, run_id: str) -> Iterator[None]:
    """A run, or its experiment, that was deleted while a job wrote to it is no crash: a person can mend it.

    Raises:
        UserError: it was deleted.
        MlflowException: whatever else MLflow says.
    """
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        if error.error_code != "INVALID_PARAMETER_VALUE" or not is_deleted((run := client.get_run(run_id)).info):
            raise
        raise deleted_run(client, run) from error


def _command(client: Any) -> str:
    return f"MLFLOW_TRACKING_URI={shown(client.tracking_uri)} mlflow"
