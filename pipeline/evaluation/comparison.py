"""Two systems on the same examples: is one better, or is it chance?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sacrebleu.metrics.base import Metric
from sacrebleu.metrics.chrf import CHRF
from sacrebleu.significance import PairedTest

from pipeline.config.sections.task import AUTO
from pipeline.evaluation.bootstrap import NUM_RESAMPLES, Indices, Scores, Statistic, paired_differences
from pipeline.evaluation.metrics import (
    ROUGE_TYPES,
    References,
    bleu_scorer,
    classification,
    reference_streams,
    rouge_each,
)

LABEL_SCORES = ("accuracy", "macro_f1", "mcc")


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One score of two systems.

    Args:
        name: the score.
        first: in percent.
        second: in percent.
        low: lower end of the 95 % interval of second minus first; none where the package does not say (BLEU, chrF).
        high: upper end.
        p_value: of a paired bootstrap test, two-sided.
    """

    name: str
    first: float
    second: float
    low: float | None
    high: float | None
    p_value: float


def compare_texts(
    metric: str, first: Sequence[str], second: Sequence[str], references: References, tokenizer: str = AUTO
) -> list[Comparison]:
    """Every score of a kind of metric for two systems, by paired bootstrap over the examples.

    Args:
        metric: rouge, bleu or accuracy.
        first: what one system says.
        second: what the other says.
        references: of each example.
        tokenizer: a `task.metric_tokenizer`, the same for both.
    """
    if metric == "bleu":
        return _translations(first, second, references, tokenizer)
    names = ROUGE_TYPES if metric == "rouge" else LABEL_SCORES
    statistics = [
        _rouge_statistic(texts, references, tokenizer) if metric == "rouge" else _label_statistic(texts, references)
        for texts in (first, second)
    ]
    all_examples = np.arange(len(references))
    scores = [statistic(all_examples) for statistic in statistics]
    differences = paired_differences(statistics[0], statistics[1], len(references))
    return [
        Comparison(name=name, first=float(a), second=float(b), low=d.low, high=d.high, p_value=d.p_value)
        for name, a, b, d in zip(names, *scores, differences, strict=True)
    ]


def _equal(results: Any) -> bool:
    return bool(abs(results[1].score - results[0].score) < 1e-9)


def _rouge_statistic(predictions: Sequence[str], references: References, tokenizer: str) -> Statistic:
    each = rouge_each(predictions, references, tokenizer)
    table: Scores = np.array([[scores[name] for name in ROUGE_TYPES] for scores in each])
    return lambda indices: np.asarray(table[indices].mean(axis=0))


def _label_statistic(predictions: Sequence[str], references: References) -> Statistic:
    labels = [texts[0] for texts in references]
    numbers = {label: number for number, label in enumerate(sorted({*predictions, *labels}))}
    mine, gold = (np.array([numbers[label] for label in row]) for row in (predictions, labels))

    def statistic(indices: Indices) -> Scores:
        scores = classification(mine[indices], gold[indices])
        return np.array([scores[name] for name in LABEL_SCORES])

    return statistic


def _translations(
    first: Sequence[str], second: Sequence[str], references: References, tokenizer: str
) -> list[Comparison]:
    """sacrebleu's own paired bootstrap."""
    metrics: dict[str, Metric] = {"BLEU": bleu_scorer(references, tokenizer), "chrF2": CHRF()}
    systems: list[tuple[str, Sequence[str]]] = [("first", list(first)), ("second", list(second))]
    test = PairedTest(systems, metrics, reference_streams(references), test_type="bs", n_samples=NUM_RESAMPLES)
    results: Any = test()[1]
    return [
        Comparison(
            name=name,
            first=results[title][0].score,
            second=results[title][1].score,
            low=None,
            high=None,
            # The package counts only larger differences than the one that was seen: of none there are none.
            p_value=1.0 if _equal(results[title]) else results[title][1].p_value,
        )
        for name, title in (("bleu", "BLEU"), ("chrf", "chrF2"))
    ]
