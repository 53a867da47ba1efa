"""Greedy and beam search in numpy: the same tokens as `generate` of transformers gives for the same logits.

Rows of a batch go on together until all of them are done; a row that is done says padding (greedy), or nothing that
counts (beams). Models whose scales depend on the batch then see the same batch as in their evaluation.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from pipeline.runtime.batches import Ids
from pipeline.runtime.processors import Rules, Scores, log_softmax

State = TypeVar("State")
# What transformers adds to scores that must not win; it is part of the result where scores come near it.
UNWANTED = np.float32(-1e9)
CHUNK = 128  # values whose maximum is looked at first


class Decoder(Protocol[State]):
    """One decoding step of a model; the state is the model's own."""

    def step(self, state: State, tokens: Ids) -> tuple[Scores, State]:
        """Logits (rows, vocabulary) of what follows `tokens` (rows,), free to be written to, and the next state."""
        ...

    def repeat(self, state: State, num_beams: int) -> State:
        """The state with every row `num_beams` times, copies side by side."""
        ...

    def reorder(self, state: State, rows: Ids) -> State:
        """The state whose row i is the old row `rows[i]`; both are of the same source."""
        ...


def search(decoder: Decoder[State], state: State, num_rows: int, rules: Rules) -> list[list[int]]:
    """The tokens of every row: the start token first, the end token last where it was said, no padding.

    Args:
        decoder: the model.
        state: before the first step.
        num_rows: of the batch.
        rules: beams, lengths, tokens.
    """
    if rules.decoding.num_beams > 1:
        return beam_search(decoder, state, num_rows, rules)
    columns = np.stack(list(greedy_steps(decoder, state, num_rows, rules)), axis=1)
    return [_until_end([_start(rules), *row], rules.tokens.ends) for row in columns.tolist()]


def greedy_steps(decoder: Decoder[State], state: State, num_rows: int, rules: Rules) -> Iterator[Ids]:
    """The likeliest next token of every row, step by step; padding after a row's end."""
    ends, pad = rules.tokens.ends, rules.tokens.pad
    generated = np.full((num_rows, rules.decoding.max_length), pad, np.int64)
    generated[:, 0] = _start(rules)
    going = np.ones(num_rows, np.bool_)
    for length in range(1, rules.decoding.max_length):
        logits, state = decoder.step(state, generated[:, length - 1])
        choices = rules.apply(generated[:, :length], logits).argmax(axis=-1)
        generated[:, length] = np.where(going, choices, pad)
        yield generated[:, length]
        going &= ~np.isin(choices, ends)
        if not going.any():
            return


@dataclass(frozen=True)
class _Hypotheses:
    """`num_beams` texts of every row, best first once complete; unfilled places are not complete."""

    tokens: Ids  # (rows, beams, longest)
    lengths: Ids  # (rows, beams), start token included
    scores: NDArray[np.float32]  # (rows, beams), with the length penalty
    complete: NDArray[np.bool_]  # (rows, beams)

    def best_of(self, other: _Hypotheses) -> _Hypotheses:
        """As many as before, from both."""
        both = [np.concatenate(pair, axis=1) for pair in zip(vars(self).values(), vars(other).values(), strict=True)]
        _, places = largest(both[2], self.scores.shape[1])
        return _Hypotheses(*(_taken(array, places) for array in both))


def beam_search(decoder: Decoder[State], state: State, num_rows: int, rules: Rules) -> list[list[int]]:
    """The best complete text of every row; arguments and result as of `search`."""
    decoding, end_tokens = rules.decoding, rules.tokens.ends
    beams, longest, penalty = decoding.num_beams, decoding.max_length, decoding.length_penalty
    generated = np.full((num_rows, beams, longest), rules.tokens.pad, np.int64)
    generated[:, :, 0] = _start(rules)
    scores = np.zeros((num_rows, beams), np.float32)
    scores[:, 1:] = UNWANTED  # at first all beams are the same: only one of them counts
    found = _Hypotheses(generated, np.ones_like(generated[:, :, 0]), np.full_like(scores, UNWANTED), scores > 0)
    # Every beam can end once with each end token; so many candidates leave at least `beams` that go on.
    num_candidates = max(2, 1 + len(end_tokens)) * beams
    hopeful = np.ones((num_rows, 1), np.bool_)  # a running beam may still beat a complete text
    state = decoder.repeat(state, beams)
    for length in range(1, longest):
        logits, state = decoder.step(state, generated[:, :, length - 1].reshape(-1))
        log_probs = rules.apply(generated[:, :, :length].reshape(-1, length), log_softmax(logits))
        totals = log_probs.reshape(num_rows, beams, -1)
        totals += scores[:, :, None]
        candidate_scores, places = largest(totals.reshape(num_rows, -1), num_candidates)
        parents, words = np.divmod(places, totals.shape[2])
        candidates = _taken(generated, parents)
        candidates[:, :, length] = words
        ends = np.isin(words, end_tokens) | (length + 1 >= longest)

        scores, kept = largest(candidate_scores + _unwanted(ends), beams)
        generated = _taken(candidates, kept)

        complete = ends & (np.arange(num_candidates) < beams)  # the others stand by, in case those ahead of them end
        closed = ~hopeful | (found.complete.all(axis=1, keepdims=True) & decoding.early_stopping)
        final_scores = candidate_scores / np.float32(length**penalty) + _unwanted(closed) + _unwanted(~complete)
        found = found.best_of(_Hypotheses(candidates, np.full_like(words, length + 1), final_scores, complete))

        bound = scores[:, :1] / np.float32(length**penalty)
        hopeful &= bound > found.scores.min(axis=1, keepdims=True)
        if not hopeful.any() or (decoding.early_stopping and found.complete.all()):
            break
        rows = np.take_along_axis(parents, kept, axis=1) + np.arange(num_rows)[:, None] * beams
        state = decoder.reorder(state, rows.reshape(-1))
    return [row[:length] for row, length in zip(found.tokens[:, 0].tolist(), found.lengths[:, 0].tolist(), strict=True)]


def largest(values: NDArray[np.float32], count: int) -> tuple[NDArray[np.float32], Ids]:
    """The largest values of every row, largest first, of equal ones the first, and their places."""
    size = values.shape[1]
    starts = np.arange(0, size, CHUNK)
    if len(starts) > count:
        # The largest values lie in the chunks with the largest maxima: one pass, instead of sorting vocabularies.
        maxima = np.maximum.reduceat(values, starts, axis=1)
        chunks = np.sort(np.argsort(-maxima, axis=1, kind="stable")[:, :count], axis=1)
        places = (starts[chunks][:, :, None] + np.arange(CHUNK)).reshape(len(values), -1)
        inside = np.take_along_axis(values, np.minimum(places, size - 1), axis=1)
        candidates = np.where(places < size, inside, -np.inf)  # what is no place comes last, also among infinities
    else:
        places, candidates = np.broadcast_to(np.arange(size), values.shape), values
    order = np.argsort(-candidates, axis=1, kind="stable")[:, :count]
    return np.take_along_axis(candidates, order, axis=1), np.take_along_axis(places, order, axis=1)


def _taken(array: NDArray[Any], places: Ids) -> NDArray[Any]:
    """Entries of the second axis, row by row."""
    return np.take_along_axis(array, places.reshape(*places.shape, *[1] * (array.ndim - 2)), axis=1)


def _unwanted(where: NDArray[np.bool_]) -> NDArray[np.float32]:
    """What is added to scores, so that these cannot win."""
    return np.where(where, UNWANTED, np.float32(0.0))


def _until_end(row: list[int], ends: list[int]) -> list[int]:
    """A row up to its first end token; the token that it starts with ends nothing."""
    return row[: next((place + 1 for place, token in enumerate(row) if place and token in ends), len(row))]


def _start(rules: Rules) -> int:
    assert rules.tokens.decoder_start is not None, "a classifier says nothing"
    return rules.tokens.decoder_start
