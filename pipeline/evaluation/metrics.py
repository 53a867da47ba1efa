"""Text metrics by the field's own packages."""

from __future__ import annotations

import logging
import re
import statistics
from collections.abc import Sequence

from rouge_score import rouge_scorer
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

logging.getLogger("absl").setLevel(logging.WARNING)  # rouge-score announces its tokenizer

ROUGE_TYPES = ("rouge1", "rouge2", "rougeL", "rougeLsum")
# By the task's `metric`: what the table shows, with column titles; and what models are chosen and compared by.
COLUMNS = {
    "rouge": {"rouge1": "R1", "rouge2": "R2", "rougeL": "RL", "rougeLsum": "RLsum", "generated_words": "words"},
    "bleu": {"bleu": "BLEU", "chrf": "chrF", "generated_words": "words"},
}
HEADLINES = {"rouge": "rougeLsum", "bleu": "bleu"}
SENTENCE_END = re.compile(r"(?<=[.!?])\s+")


def score_texts(metric: str, predictions: Sequence[str], references: Sequence[str]) -> dict[str, float]:
    """The scores of a kind of metric, in percent, and the mean generated length in words.

    Args:
        metric: rouge, or bleu for translation.
        predictions: generated texts.
        references: one each.
    """
    scores = rouge(predictions, references) if metric == "rouge" else bleu(predictions, references)
    return {**scores, "generated_words": statistics.fmean(len(p.split()) for p in predictions)}


def bleu(predictions: Sequence[str], references: Sequence[str]) -> dict[str, float]:
    """Corpus BLEU and chrF by sacrebleu with its defaults."""
    corpus = [list(references)]
    return {
        "bleu": BLEU().corpus_score(list(predictions), corpus).score,
        "chrf": CHRF().corpus_score(list(predictions), corpus).score,
    }


def chrf_each(predictions: Sequence[str], references: Sequence[str]) -> list[float]:
    """chrF of every pair, in percent."""
    chrf = CHRF()
    return [chrf.sentence_score(p, [r]).score for p, r in zip(predictions, references, strict=True)]


def rouge(predictions: Sequence[str], references: Sequence[str]) -> dict[str, float]:
    """ROUGE F1 with stemming, in percent: rouge1, rouge2, rougeL, rougeLsum.

    rougeLsum wants a sentence a line; sentences are split at closing punctuation, which needs no download.
    """
    each = rouge_each(predictions, references)
    return {name: statistics.fmean(scores[name] for scores in each) for name in ROUGE_TYPES}


def rouge_each(predictions: Sequence[str], references: Sequence[str]) -> list[dict[str, float]]:
    """The scores of `rouge` for every pair."""
    scorer = rouge_scorer.RougeScorer(list(ROUGE_TYPES), use_stemmer=True)
    results = (
        scorer.score(_sentence_lines(reference), _sentence_lines(prediction))
        for prediction, reference in zip(predictions, references, strict=True)
    )
    return [{name: 100.0 * result[name].fmeasure for name in ROUGE_TYPES} for result in results]


def lead_baseline(sources: Sequence[str], references: Sequence[str]) -> list[str]:
    """The trivial summary: the first words of the source, as many as references have on average."""
    num_words = round(statistics.fmean(len(reference.split()) for reference in references))
    return [" ".join(source.split()[:num_words]) for source in sources]


def _sentence_lines(text: str) -> str:
    return "\n".join(SENTENCE_END.split(text.strip()))
