"""The runs of a job in MLflow: which store, which tags, rank 0 only."""

from __future__ import annotations

from pipeline.config.schema import JobConfig
from pipeline.stages.storage import open_storage
from pipeline.tracking.lineage import lineage
from pipeline.tracking.run import PATIENCE_SECONDS, SilentRun
from pipeline.tracking.tracker import RunSpec, Tracker, local_tracking_uri
from pipeline.training.collective import rank


def tracking_uri(config: JobConfig) -> str:
    """The configured tracking URI, or the store in the storage folder."""
    return config.tracking.uri or local_tracking_uri(open_storage(config.storage.path).root)


def open_tracker(config: JobConfig, patience_seconds: float = PATIENCE_SECONDS) -> Tracker:
    """The tracker of a job."""
    folder = open_storage(config.storage.path).root / "mlartifacts"
    return Tracker(tracking_uri(config), config.tracking.experiment, folder, patience_seconds)


def start_run(config: JobConfig, spec: RunSpec) -> SilentRun:
    """A run on rank 0, silence on the others."""
    return open_tracker(config).start(spec) if rank() == 0 else SilentRun()


def common_tags(config: JobConfig) -> dict[str, str]:
    """Tags that every run of a job carries."""
    return {
        "dq.task": config.task.name,
        "dq.model": config.model.name,
        "dq.recipe": config.recipe.name,
        **lineage(),
    }
