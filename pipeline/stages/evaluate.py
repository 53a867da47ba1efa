"""Stage: what a model says about a split, and how good that is; sharded over the ranks."""

from __future__ import annotations

import json
import logging
import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import datasets

from pipeline.config.changes import with_sections
from pipeline.config.jobs import TrainsTeacher
from pipeline.console.progress import ProgressBar
from pipeline.data.noise import noise_of
from pipeline.evaluation.generate import generate_split
from pipeline.evaluation.metrics import (
    HEADLINES,
    References,
    measures_nothing,
    score_texts,
    signature,
    texts_of,
    trivial_predictions,
)
from pipeline.evaluation.predict import TokenScores, predict_labels, token_scores
from pipeline.evaluation.tokenizers import chosen_tokenizer, doubts
from pipeline.stages.prepare_data import PreparedTask
from pipeline.storage.atomic import atomic_text
from pipeline.training.collective import gather_objects, rank, world_size

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

Job = TypeVar("Job", bound=TrainsTeacher)
PREDICTIONS = "predictions.jsonl"  # a line an example: what a model said and what was expected

log = logging.getLogger(__name__)


def with_metric_tokenizer(config: Job, task: PreparedTask, language: str | None) -> Job:
    """The configuration with the tokenizer that its metric uses, decided once for all systems, and said aloud.

    Args:
        config: the job.
        task: its references decide where the language does not: those of the splits that are scored, all of them.
        language: the target language.
    """
    if not config.task.facts.generates:
        return config
    names = dict.fromkeys(("validation", config.evaluation.split))
    metric, references = config.task.metric, [r for name in names for r in references_of(task.split(name).examples)]
    texts = texts_of(references)
    tokenizer = chosen_tokenizer(metric, config.task.metric_tokenizer, texts, language)
    for doubt in doubts(config.task, tokenizer, texts, language):
        log.warning(doubt)
    if measures_nothing(metric, references, tokenizer):
        log.warning(f"no reference has four words by the tokenizer {tokenizer}: BLEU is 0, the loss alone decides")
    log.info(f"scored by {signature(metric, references, tokenizer)}")
    return with_sections(config, task=replace(config.task, metric_tokenizer=tokenizer))


def evaluate_examples(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    examples: datasets.Dataset,
    config: TrainsTeacher,
    labels: list[str],
    intervals: bool = True,
) -> tuple[dict[str, float], list[str]]:
    """Scores and predictions of a model on examples; every rank calls it and gets the same.

    Args:
        model: it generates, or classifies.
        tokenizer: its tokenizer.
        examples: tokenised examples.
        config: the job; its task says which.
        labels: of a classification task.
        intervals: whether the headline's bootstrap interval is among the scores.
    """
    shares: dict[str, Any] = {"rank": rank(), "num_ranks": world_size(), "gather": gather_objects}
    shares["batch_tokens"] = config.evaluation.batch_tokens
    if config.task.facts.generates:
        bar = ProgressBar("generating", 1, shown=rank() == 0)
        predictions = generate_split(
            model,
            tokenizer,
            examples,
            config.task.decoding,
            on_batch=lambda done, total: bar.update(done, total=total),
            **shares,
        )
        bar.close()
    else:
        predictions = predict_labels(model, examples, labels, **shares)
    scores = score_texts(
        config.task.metric, predictions, references_of(examples), intervals, config.task.metric_tokenizer
    )
    return scores, predictions


def validate(
    model: PreTrainedModel, task: PreparedTask, config: TrainsTeacher, with_scores: bool = True
) -> dict[str, float]:
    """A model in training on the validation split: loss, the task's metrics, and `score`, the higher the better.

    Without references to compare with, or without `with_scores`, the score is the loss. Where validation examples are
    noised, how many of the hidden tokens are found is told, too. Every rank calls it.
    """
    facts = config.task.facts
    split, limit = task.split("validation").examples, config.evaluation.max_validation_examples
    split = split if limit is None else split.select(range(min(limit, len(split))))
    found = target_scores(model, split, task, config)
    metrics = {"loss": found.loss, "score": -found.loss}
    if facts.is_validated_noised:
        metrics["masked_accuracy"] = found.accuracy
    if facts.has_references and with_scores:
        scores, _ = evaluate_examples(model, task.tokenizer(), split, config, task.labels, intervals=False)
        metrics |= {**scores, "score": scores[HEADLINES[config.task.metric]]}
    return metrics


def target_scores(
    model: PreTrainedModel, examples: datasets.Dataset, task: PreparedTask, config: TrainsTeacher
) -> TokenScores:
    """How well a model knows the targets of held-out examples, noised if the task says so; every rank calls it."""
    return token_scores(
        model,
        examples,
        noise=noise_of(config.task.noise if config.task.facts.is_validated_noised else None, task.tokenizer()),
        batch_tokens=config.evaluation.batch_tokens,
        rank=rank(),
        num_ranks=world_size(),
        gather=gather_objects,
    )


def standing(validated: dict[str, float]) -> tuple[float, float]:
    """What models are ranked by, the higher the better: the score; of equal ones, as where nothing can be measured, the
    lower loss. What is not a number comes last.
    """
    score, loss = validated["score"], validated["loss"]
    return -math.inf if math.isnan(score) else score, -math.inf if math.isnan(loss) else -loss


def evaluation_examples(task: PreparedTask, config: TrainsTeacher) -> datasets.Dataset:
    """The examples that results are reported on."""
    examples, limit = task.split(config.evaluation.split).examples, config.evaluation.max_examples
    return examples if limit is None else examples.select(range(min(limit, len(examples))))


def references_of(examples: datasets.Dataset) -> References:
    """The references of every example."""
    references: References = examples["references"][:]
    return references


def metric_tags(examples: datasets.Dataset, config: TrainsTeacher) -> dict[str, str]:
    """What makes scores comparable: which split of which data, and the metric's signature."""
    metric = config.task.metric
    return {
        "dq.split": config.evaluation.split,
        "dq.metric": metric,
        "dq.metric_signature": signature(metric, references_of(examples), config.task.metric_tokenizer),
    }


def baseline_scores(task: PreparedTask, config: TrainsTeacher) -> dict[str, float]:
    """Scores of what needs no model."""
    examples, metric = evaluation_examples(task, config), config.task.metric
    references, training = references_of(examples), task.split("train").examples["target"][:]
    said = trivial_predictions(metric, examples["source"][:], references, training)
    return score_texts(metric, said, references, tokenizer=config.task.metric_tokenizer)


def write_predictions(path: Path, examples: datasets.Dataset, predictions: list[str]) -> None:
    """All predictions beside their references, in the split's order, for `jobs/compare.py` and for people."""
    pairs = zip(predictions, references_of(examples), strict=True)
    lines = (json.dumps({"prediction": p, "references": r}, ensure_ascii=False) for p, r in pairs)
    atomic_text(path, "".join(f"{line}\n" for line in lines))


def read_predictions(path: Path) -> tuple[list[str], References]:
    """Predictions and references that `write_predictions` wrote."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
    return [row["prediction"] for row in rows], [row["references"] for row in rows]
