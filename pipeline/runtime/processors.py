"""Which tokens may come next: the rules of decoding, as transformers applies them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.config.sections.task import DecodingConfig
from pipeline.runtime.batches import Ids
from pipeline.runtime.manifest import TokenIds

Scores = NDArray[np.floating[Any]]
NEVER = -np.inf


@dataclass(frozen=True, kw_only=True)
class Rules:
    """How texts are decoded, and with which special tokens."""

    decoding: DecodingConfig
    tokens: TokenIds

    def apply(self, generated: Ids, scores: Scores) -> Scores:
        """Scores of the next token with those ruled out at minus infinity; `scores` may be changed in place.

        Later rules win over earlier ones: a forced token may repeat an n-gram, a suppressed one is never forced.

        Args:
            generated: tokens so far, the start token included, (rows, length).
            scores: logits or log-probabilities, (rows, vocabulary).
        """
        decoding, tokens, length = self.decoding, self.tokens, generated.shape[1]
        if decoding.no_repeat_ngram_size > 0:
            rule_out_repeated_ngrams(generated, scores, decoding.no_repeat_ngram_size)
        if length < decoding.min_length:
            scores[:, tokens.ends] = NEVER
        if tokens.forced_first is not None and length == 1:
            scores = forced(tokens.forced_first, scores)
        if tokens.eos is not None and length == decoding.max_length - 1:
            scores = forced(tokens.eos, scores)
        if tokens.suppressed:
            scores[:, tokens.suppressed] = NEVER
        return scores


def rule_out_repeated_ngrams(generated: Ids, scores: Scores, size: int) -> None:
    """Rule out, in place, every token that would end an n-gram that a row has had before."""
    if generated.shape[1] < size:
        return
    windows = np.lib.stride_tricks.sliding_window_view(generated, size, axis=1)  # (rows, places, size)
    ending = generated[:, generated.shape[1] + 1 - size :]
    rows, places = np.nonzero((windows[:, :, :-1] == ending[:, None, :]).all(axis=2))
    scores[rows, windows[rows, places, -1]] = NEVER


def forced(token: int, scores: Scores) -> Scores:
    """Scores that leave one token."""
    alone = np.full_like(scores, NEVER)
    alone[:, token] = 0.0
    return alone


def log_softmax(logits: Scores) -> Scores:
    """Log-probabilities of every row, in fp32 and in place where the logits are."""
    scores: Scores = logits.astype(np.float32, copy=False)
    for row in scores:  # one row stays in the cache
        row -= row.max()
        row -= np.log(np.exp(row).sum())
    return scores
