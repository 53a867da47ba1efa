"""Scores of texts and labels by the field's own packages: rouge-score, sacrebleu, scikit-learn."""

from __future__ import annotations

import importlib.metadata
import logging
import statistics
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from rouge_score import rouge_scorer
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef

from pipeline.config.sections.task import AUTO
from pipeline.evaluation.bootstrap import NUM_RESAMPLES, interval_of_mean
from pipeline.evaluation.rouge_words import ROUGE_WORDS, RougeWords
from pipeline.evaluation.scripts import first_units, num_units
from pipeline.evaluation.tokenizers import chosen_tokenizer

logging.getLogger("absl").setLevel(logging.WARNING)  # rouge-score announces its tokenizer
logging.getLogger("sacrebleu").setLevel(logging.ERROR)  # "that's 100 lines that end in a tokenized period"

References = Sequence[Sequence[str]]  # of every example at least one

ROUGE_TYPES = ("rouge1", "rouge2", "rougeL", "rougeLsum")
# By the task's `metric`: what the table shows, with column titles; and what models are chosen and compared by.
COLUMNS = {
    "rouge": {"rouge1": "R1", "rouge2": "R2", "rougeL": "RL", "rougeLsum": "RLsum", "generated_words": "words"},
    "bleu": {"bleu": "BLEU", "chrf": "chrF", "generated_words": "words"},
    "accuracy": {"accuracy": "accuracy", "macro_f1": "macro F1", "mcc": "MCC"},
}
HEADLINES = {"rouge": "rougeLsum", "bleu": "bleu", "accuracy": "accuracy"}


def score_texts(
    metric: str, predictions: Sequence[str], references: References, intervals: bool = True, tokenizer: str = AUTO
) -> dict[str, float]:
    """The scores of a kind of metric, in percent.

    Beside them `<headline>_low` and `<headline>_high`, the 95 % bootstrap interval of the headline, and of texts their
    length: `generated_words` (mean; characters in scripts without spaces), `length_ratio` (to the first reference),
    `empty_predictions` (count).

    Args:
        metric: rouge, bleu (translation) or accuracy (labels).
        predictions: generated texts, or names of labels.
        references: those of each.
        intervals: whether the interval is wanted; it takes a while.
        tokenizer: a `task.metric_tokenizer`.
    """
    if metric == "accuracy":
        labels = [texts[0] for texts in references]
        scores = classification(predictions, labels)
        if intervals:
            hits = np.array([100.0 * (a == b) for a, b in zip(predictions, labels, strict=True)])
            scores |= _ends("accuracy", interval_of_mean(hits))
        return scores
    scorer = {"rouge": rouge, "bleu": bleu}[metric]
    scores = scorer(predictions, references, intervals, tokenizer)
    words = [num_units(text) for text in predictions]
    lengths = {
        "generated_words": statistics.fmean(words),
        "length_ratio": sum(words) / max(1, sum(num_units(texts[0]) for texts in references)),
        "empty_predictions": float(words.count(0)),
    }
    return {**scores, **lengths}


def signature(metric: str, references: References, tokenizer: str = AUTO) -> str:
    """Everything that must be equal for two scores to be comparable, as the packages write it."""
    if metric == "bleu":
        scorers = (bleu_scorer(references, tokenizer), CHRF(references=reference_streams(references)))
        bleu_signature, chrf_signature = (scorer.get_signature() for scorer in scorers)
        return f"BLEU {bleu_signature}; chrF {chrf_signature}"
    if metric == "rouge":
        counts = {len(texts) for texts in references}
        version = importlib.metadata.version("rouge-score")
        number = counts.pop() if len(counts) == 1 else "var"
        return f"rouge-score {version}|F1|stemmer|{_words(references, tokenizer).signature}|refs:{number}, best"
    return f"scikit-learn {importlib.metadata.version('scikit-learn')}|F1 macro"


def classification(predictions: Any, labels: Any) -> dict[str, float]:
    """Accuracy, F1 averaged over the labels that occur, Matthews' correlation coefficient; in percent.

    Both are sequences or arrays of labels, as names or numbers.
    """
    return {
        "accuracy": 100.0 * float(accuracy_score(labels, predictions)),
        "macro_f1": 100.0 * float(f1_score(labels, predictions, average="macro", zero_division=0.0)),
        "mcc": 100.0 * float(matthews_corrcoef(labels, predictions)),
    }


def bleu(
    predictions: Sequence[str], references: References, interval: bool = False, tokenizer: str = AUTO
) -> dict[str, float]:
    """Corpus BLEU and chrF by sacrebleu, its defaults but for the tokenizer; the interval is its own bootstrap."""
    # A resample of one sentence is that sentence.
    resamples = NUM_RESAMPLES if interval and len(predictions) > 1 else 1
    score = bleu_scorer(references, tokenizer).corpus_score(list(predictions), None, n_bootstrap=resamples)
    chrf = CHRF().corpus_score(list(predictions), reference_streams(references))
    scores = {"bleu": score.score, "chrf": chrf.score}
    if interval:
        middle, half = (score._mean, score._ci) if resamples > 1 else (score.score, 0.0)
        scores |= _ends("bleu", (middle - half, middle + half))
    return scores


def measures_nothing(metric: str, references: References, tokenizer: str) -> bool:
    """Whether even the references score 0: BLEU does where no text has four words, whatever is said."""
    perfect = [texts[0] for texts in references]
    return metric == "bleu" and bleu_scorer(references, tokenizer).corpus_score(perfect, None).score == 0


def chrf_each(predictions: Sequence[str], references: Sequence[str]) -> list[float]:
    """chrF of every pair, in percent."""
    chrf = CHRF()
    return [chrf.sentence_score(p, [r]).score for p, r in zip(predictions, references, strict=True)]


def rouge(
    predictions: Sequence[str], references: References, interval: bool = False, tokenizer: str = AUTO
) -> dict[str, float]:
    """ROUGE F1 with stemming, in percent: rouge1, rouge2, rougeL, rougeLsum, each by the best of its references.

    rougeLsum wants a sentence a line; sentences are split at closing punctuation, which needs no download.
    """
    each = rouge_each(predictions, references, tokenizer)
    means = {name: statistics.fmean(scores[name] for scores in each) for name in ROUGE_TYPES}
    if interval:
        means |= _ends("rougeLsum", interval_of_mean(np.array([scores["rougeLsum"] for scores in each])))
    return means


def rouge_each(predictions: Sequence[str], references: References, tokenizer: str = AUTO) -> list[dict[str, float]]:
    """The scores of `rouge` for every prediction."""
    words = _words(references, tokenizer)
    scorer = rouge_scorer.RougeScorer(list(ROUGE_TYPES), tokenizer=words.tokenizer)
    results = (
        scorer.score_multi([words.lines(text) for text in texts], words.lines(prediction))
        for prediction, texts in zip(predictions, references, strict=True)
    )
    return [{name: 100.0 * result[name].fmeasure for name in ROUGE_TYPES} for result in results]


def headline_each(
    metric: str, predictions: Sequence[str], references: References, tokenizer: str = AUTO
) -> list[float]:
    """How good each prediction is by itself, in percent: ROUGE-Lsum, chrF (BLEU says little of one sentence), or right.

    Args:
        metric: as of `score_texts`.
        predictions: texts or labels.
        references: those of each; the best one counts.
        tokenizer: a `task.metric_tokenizer`.
    """
    if metric == "accuracy":
        return [100.0 * (said == texts[0]) for said, texts in zip(predictions, references, strict=True)]
    if metric == "bleu":
        return [max(chrf_each([said] * len(texts), texts)) for said, texts in zip(predictions, references, strict=True)]
    return [scores["rougeLsum"] for scores in rouge_each(predictions, references, tokenizer)]


def bleu_scorer(references: References, tokenizer: str) -> BLEU:
    """sacrebleu's BLEU for these references."""
    tokenize = chosen_tokenizer("bleu", tokenizer, texts_of(references))
    return BLEU(tokenize=tokenize, references=reference_streams(references))


def _words(references: References, tokenizer: str) -> RougeWords:
    return ROUGE_WORDS[chosen_tokenizer("rouge", tokenizer, texts_of(references))]


def texts_of(references: References) -> list[str]:
    """All references of all examples."""
    return [text for texts in references for text in texts]


def baseline_of(metric: str) -> str:
    """What `trivial_predictions` does, for a table."""
    names = {"rouge": "first words of the source", "bleu": "the source itself", "accuracy": "the most frequent label"}
    return names[metric]


def trivial_predictions(
    metric: str, sources: Sequence[str], references: References, training_targets: Sequence[str]
) -> list[str]:
    """What needs no model: the first words of the source, as many as references have on average; the source itself; or
    the most frequent label of the training split.
    """
    if metric == "accuracy":
        return [Counter(training_targets).most_common(1)[0][0]] * len(sources)
    if metric == "bleu":
        return list(sources)
    num_words = round(statistics.fmean(num_units(texts[0]) for texts in references))
    return [first_units(source, num_words) for source in sources]


def _ends(name: str, interval: tuple[float, float]) -> dict[str, float]:
    return {f"{name}_low": interval[0], f"{name}_high": interval[1]}


def reference_streams(references: References) -> list[list[str]]:
    """The references as sacrebleu wants them: the first of every example, the second of every example..."""
    most = max(len(texts) for texts in references)
    streams: list[list[Any]] = [[texts[i] if i < len(texts) else None for texts in references] for i in range(most)]
    return streams  # None, which its annotations leave out, is no reference
