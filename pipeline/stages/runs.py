"""The runs of a job in MLflow: which store, which tags, rank 0 only."""

from __future__ import annotations

from typing import Any

from pipeline.config.jobs import HasRuns, TrainsTeacher
from pipeline.config.load import to_public_dict
from pipeline.storage.layout import open_storage, personal_path
from pipeline.tracking.lineage import lineage
from pipeline.tracking.retry import RETRY_SECONDS
from pipeline.tracking.run import NoOpRun, Run
from pipeline.tracking.store import local_tracking_uri
from pipeline.tracking.tracker import RunSpec, Tracker
from pipeline.training.collective import alone


def tracking_uri(config: HasRuns) -> str:
    """The configured tracking URI, or the store in the storage folder."""
    return config.tracking.uri or local_tracking_uri(personal_path(config.storage.path).absolute())


def open_tracker(config: HasRuns, retry_seconds: float = RETRY_SECONDS) -> Tracker:
    """The tracker of a job."""
    folder = open_storage(config.storage.path).root
    return Tracker(tracking_uri(config), config.tracking.experiment, folder, retry_seconds)


def start_run(config: HasRuns, spec: RunSpec) -> Run:
    """A run on rank 0, silence on the others, who wait: MLflow may be away."""
    return alone(lambda: open_tracker(config).start(spec)) or NoOpRun()


def common_params(config: TrainsTeacher, without: tuple[str, ...] = ()) -> dict[str, Any]:
    """The settings that say how a run was made, but for those sections that do not concern it."""
    return {name: value for name, value in to_public_dict(config).items() if name not in without}


def common_tags(config: TrainsTeacher) -> dict[str, str]:
    """Tags that every run of a job carries."""
    return {
        "dq.task": config.task.name,
        "dq.model": config.model.name,
        **lineage(),
    }
