"""The development set: what candidates are compared on, and, as published, where their mistakes come from."""

from __future__ import annotations

import datasets

from pipeline.config.jobs.agora_finetune import AgoraJob
from pipeline.stages.prepare_data import PreparedTask

CONTAMINATED = (
    "points of the development set are in the training set, so scores on it flatter; only the test split says how good "
    "a model is"
)


def development_examples(task: PreparedTask, config: AgoraJob) -> datasets.Dataset:
    """The examples of the validation split that candidates are compared on."""
    examples, limit = task.split("validation").examples, config.evaluation.max_validation_examples
    return examples if limit is None else examples.select(range(min(limit, len(examples))))
