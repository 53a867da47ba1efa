"""Sequence-level distillation: which of the teacher's texts becomes a training target (Kim & Rush 2016)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.config.sections.recipe import SequenceConfig
from pipeline.config.sections.task import AUTO
from pipeline.evaluation.metrics import chrf_each, rouge_each


@dataclass(frozen=True, kw_only=True)
class Target:
    """A training target, and how like the reference it is, in percent."""

    text: str
    similarity: float
    by_teacher: bool


def choose_target(
    candidates: Sequence[str], reference: str, settings: SequenceConfig, metric: str, tokenizer: str = AUTO
) -> Target:
    """The training target of one example.

    An empty text teaches nothing but silence: the reference stands in for it.

    Args:
        candidates: the teacher's texts, best first.
        reference: what a person wrote.
        settings: `pure` takes the first; `interpolated` the nearest to the reference; `filtered` the first if it is
            like enough to the reference, otherwise the reference.
        metric: of the task: `rouge` measures nearness by the mean of ROUGE-1, -2 and -L and likeness by ROUGE-2, `bleu`
            both by chrF, which knows all alphabets.
        tokenizer: the task's `metric_tokenizer`; chrF has no use for it.
    """
    references = [reference] * len(candidates)
    if metric == "bleu":
        near = similar = chrf_each(candidates, references)
    else:
        scores = rouge_each(candidates, [[reference] for reference in references], tokenizer)
        near = [score["rouge1"] + score["rouge2"] + score["rougeL"] for score in scores]
        similar = [score["rouge2"] for score in scores]
    index = near.index(max(near)) if settings.kind == "interpolated" else 0
    unfit = settings.kind == "filtered" and similar[index] < settings.min_similarity
    if unfit or not candidates[index]:
        return Target(text=reference, similarity=100.0, by_teacher=False)
    return Target(text=candidates[index], similarity=similar[index], by_teacher=True)
