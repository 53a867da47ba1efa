"""Text metrics by the field's own packages."""

from __future__ import annotations

import logging
import re
import statistics
from collections.abc import Sequence

from rouge_score import rouge_scorer

logging.getLogger("absl").setLevel(logging.WARNING)  # rouge-score announces its tokenizer

ROUGE_TYPES = ("rouge1", "rouge2", "rougeL", "rougeLsum")
SENTENCE_END = re.compile(r"(?<=[.!?])\s+")


def rouge(predictions: Sequence[str], references: Sequence[str]) -> dict[str, float]:
    """ROUGE F1 with stemming, in percent: rouge1, rouge2, rougeL, rougeLsum, and the mean generated length in words.

    rougeLsum wants a sentence a line; sentences are split at closing punctuation, which needs no download.
    """
    scorer = rouge_scorer.RougeScorer(list(ROUGE_TYPES), use_stemmer=True)
    scores: dict[str, list[float]] = {name: [] for name in ROUGE_TYPES}
    for prediction, reference in zip(predictions, references, strict=True):
        result = scorer.score(_sentence_lines(reference), _sentence_lines(prediction))
        for name in ROUGE_TYPES:
            scores[name].append(100.0 * result[name].fmeasure)
    means = {name: statistics.fmean(values) for name, values in scores.items()}
    return {**means, "generated_words": statistics.fmean(len(p.split()) for p in predictions)}


def lead_baseline(sources: Sequence[str], references: Sequence[str]) -> list[str]:
    """The trivial summary: the first words of the source, as many as references have on average."""
    num_words = round(statistics.fmean(len(reference.split()) for reference in references))
    return [" ".join(source.split()[:num_words]) for source in sources]


def _sentence_lines(text: str) -> str:
    return "\n".join(SENTENCE_END.split(text.strip()))
