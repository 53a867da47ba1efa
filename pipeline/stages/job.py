"""What every job does first: storage, tracking, cluster and data, each checked before anything is trained."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from pipeline.cluster.ray_train import connect
from pipeline.config.schema import JobConfig
from pipeline.models.load import check_positions, read_shape
from pipeline.stages.data import PreparedTask, prepare_task, with_local_model
from pipeline.stages.runs import tracking_uri
from pipeline.stages.storage import Storage, open_storage
from pipeline.tracking.progress import say
from pipeline.tracking.tracker import check_reachable


@dataclass(frozen=True, kw_only=True)
class OpenedJob:
    """A job whose surroundings have been checked."""

    config: JobConfig
    storage: Storage
    task: PreparedTask
    shape: Any  # the teacher's configuration, known before its weights


def open_job(config: JobConfig) -> OpenedJob:
    """Check storage, tracking server and cluster, then prepare the data.

    Raises:
        UserError: whatever is missing.
    """
    storage = open_storage(config.storage.path)
    config = replace(config, storage=replace(config.storage, path=str(storage.root)))
    check_reachable(tracking_uri(config))
    connect(config.cluster)
    config, start = with_local_model(config, storage)
    say(f"task {config.task.name}, model {config.model.name}, recipe {config.recipe.name}; storage {storage.root}")
    task = prepare_task(config, storage, start)
    shape = read_shape(config.model, task.tokenizer())
    check_positions(shape, config.task)
    sizes = ", ".join(f"{name} {len(task.split(name).examples)}" for name in ("train", "validation", "test"))
    say(f"data {task.fingerprint}: {sizes}; cut: {task.num_cut_sources} sources, {task.num_cut_targets} targets")
    return OpenedJob(config=config, storage=storage, task=task, shape=shape)
