"""Stage: generate a split with a model and score it, sharded over the ranks."""

from __future__ import annotations

from typing import Any

import datasets

from pipeline.config.schema import JobConfig
from pipeline.evaluation.generate import generate_split
from pipeline.evaluation.metrics import lead_baseline, score_texts
from pipeline.stages.data import PreparedTask
from pipeline.tracking.progress import ProgressBar
from pipeline.training.collective import gather_objects, rank, world_size


def evaluate_examples(
    model: Any, tokenizer: Any, examples: datasets.Dataset, config: JobConfig
) -> tuple[dict[str, float], list[str]]:
    """Scores and predictions of a model on examples; every rank calls it and gets the same."""
    bar = ProgressBar("generating", 1, shown=rank() == 0)

    predictions = generate_split(
        model,
        tokenizer,
        examples,
        config.task.decoding,
        batch_tokens=config.evaluation.batch_tokens,
        rank=rank(),
        num_ranks=world_size(),
        gather=gather_objects,
        on_batch=lambda done, total: bar.update(done, total=total),
    )
    bar.close()
    return score_texts(config.task.metric, predictions, examples["target"][:]), predictions


def evaluation_examples(task: PreparedTask, config: JobConfig) -> datasets.Dataset:
    """The examples that results are reported on."""
    examples, limit = task.split(config.evaluation.split).examples, config.evaluation.max_examples
    return examples if limit is None else examples.select(range(min(limit, len(examples))))


def evaluate_split(model: Any, tokenizer: Any, task: PreparedTask, config: JobConfig) -> dict[str, float]:
    """Scores of a model on the reported split; nothing to score where the objective is denoising."""
    if config.task.objective == "denoising":
        return {}
    return evaluate_examples(model, tokenizer, evaluation_examples(task, config), config)[0]


def baseline_scores(task: PreparedTask, config: JobConfig) -> dict[str, float]:
    """Scores of the trivial summary, the first words of the source."""
    examples = evaluation_examples(task, config)
    sources, targets = examples["source"][:], examples["target"][:]
    return score_texts(config.task.metric, lead_baseline(sources, targets), targets)
