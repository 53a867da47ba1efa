"""What two forms of one model say to the same tokens, and how far they are from each other."""

from __future__ import annotations

import numpy as np

from pipeline.benchmarking.engines.engine import Array, Graphs

Answers = tuple[Array, Array]  # logits of given tokens (steps, rows, vocabulary), generated tokens (rows, steps)


def ragged(rows: list[list[int]], pad: int) -> tuple[Array, Array]:
    """Ids and mask: the first row whole, the last half as long."""
    source = np.array(rows, dtype=np.int64)
    mask = np.ones_like(source)
    for index, length in enumerate(np.linspace(source.shape[1], source.shape[1] / 2, len(rows)).astype(int)):
        source[index, length:], mask[index, length:] = pad, 0
    return source, mask


def answers(graphs: Graphs, source: Array, mask: Array, given: Array) -> Answers:
    """What a model says to tokens that it is given one by one, and what it generates.

    Args:
        graphs: the model.
        source: (rows, source tokens), padded.
        mask: like `source`.
        given: (rows, steps), the first is the start token.
    """
    graphs.encode(source, mask)
    logits = np.stack([graphs.step(given[:, step : step + 1]).copy() for step in range(given.shape[1])])
    graphs.encode(source, mask)
    tokens, generated = given[:, :1], []
    for _ in range(given.shape[1]):
        tokens = graphs.step(tokens).argmax(axis=-1).reshape(-1, 1)
        generated.append(tokens)
    return logits, np.concatenate(generated, axis=1)


def difference(found: Answers, reference: Answers) -> dict[str, float]:
    """Relative error of logits, equal choices and equal generated tokens."""
    (logits, tokens), (wanted, wanted_tokens) = found, reference
    wide = wanted.astype(np.float64)
    return {
        "error": float(np.linalg.norm(logits - wide) / np.linalg.norm(wide)),
        "same_choices": float((logits.argmax(axis=-1) == wanted.argmax(axis=-1)).mean()),
        "same_tokens": float((tokens == wanted_tokens).mean()),
    }
