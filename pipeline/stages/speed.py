"""Stage: a student's times beside its teacher's, on the worker that has both."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import datasets
import torch

from pipeline.config.schema import JobConfig
from pipeline.data.batch import model_columns
from pipeline.evaluation.latency import (
    BATCH_EXAMPLES,
    classification_run,
    first_batch,
    generation_run,
    measure_side_by_side,
)
from pipeline.tracking.progress import say


def speed_metrics(
    student: Any, teacher: Any, examples: datasets.Dataset, pad_id: int, config: JobConfig
) -> dict[str, float]:
    """Absolute times of both and their ratios (above 1: the student is faster); nothing if none are wanted."""
    num_single, batch_tokens = config.evaluation.latency_examples, config.evaluation.batch_tokens
    if not num_single:
        return {}
    few = model_columns(examples.select(range(min(max(num_single, BATCH_EXAMPLES), len(examples))))).to_list()
    models = {"student": student, "teacher": teacher}
    if config.task.objective == "classification":
        runs = {name: classification_run(model, pad_id) for name, model in models.items()}
    else:
        runs = {name: generation_run(model, pad_id, config.task.decoding) for name, model in models.items()}
    try:
        speeds = measure_side_by_side(runs, few, num_single, batch_tokens)
    except torch.OutOfMemoryError as error:  # the scores are worth more than the times
        say(f"no times: {error}; set evaluation.batch_tokens or latency_examples lower")
        return {}
    mine, theirs = speeds["student"], speeds["teacher"]
    return {
        **asdict(mine),
        **{f"teacher_{name}": value for name, value in asdict(theirs).items()},
        "speed_ratio": theirs.latency_p50_ms / mine.latency_p50_ms,
        "throughput_ratio": mine.tokens_per_second / theirs.tokens_per_second,
        "latency_threads": float(torch.get_num_threads()),
        "latency_batch_examples": float(len(first_batch(few, batch_tokens))),
    }
