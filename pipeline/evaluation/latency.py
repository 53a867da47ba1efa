"""How long models take, side by side: a busy machine is unfair to all of them alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from pipeline.config.sections.task import DecodingConfig
from pipeline.data.batch import collate_rows
from pipeline.evaluation.generate import generate_ids

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Rows = Sequence[Mapping[str, Any]]  # tokenised examples
Run = Callable[[Rows], int]  # some examples -> number of tokens that were worked on

BATCH_EXAMPLES = 32
BATCH_ROUNDS = 3
MAX_SECONDS = 300.0  # for all; the other workers wait meanwhile


@dataclass(frozen=True, kw_only=True)
class Speed:
    """One model's times: of single sequences, and of batches of `BATCH_EXAMPLES`.

    Tokens are generated ones; of a classifier, those of the source.
    """

    latency_p50_ms: float
    latency_p95_ms: float
    ms_per_token: float
    tokens_per_second: float


def measure_side_by_side(
    runs: Mapping[str, Run],
    examples: Rows,
    num_single: int,
    batch_tokens: int,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, Speed]:
    """Time every run on the same examples, taking turns.

    At least one round of each kind is timed; no further one begins after `MAX_SECONDS`.

    Args:
        runs: name -> what is timed.
        examples: the first `num_single` go one by one, the first `BATCH_EXAMPLES` as a batch.
        num_single: sequences that are timed one by one.
        batch_tokens: most padded source tokens in the batch, which may hold fewer examples for that.
        clock: seconds.
    """
    names, batch, start = list(runs), first_batch(examples, batch_tokens), clock()
    single: dict[str, list[tuple[float, int]]] = {name: [] for name in names}
    batched: dict[str, list[tuple[float, int]]] = {name: [] for name in names}
    rounds: list[tuple[dict[str, list[tuple[float, int]]], Rows]] = [(single, [row]) for row in examples[:num_single]]
    # A batch early on: a long list of single sequences cannot crowd it out.
    rounds[1:1] = [(batched, batch)]
    rounds += [(batched, batch)] * (BATCH_ROUNDS - 1)
    for name in names:  # first calls allocate and unpack
        runs[name](examples[:1])
    for index, (times, given) in enumerate(rounds):
        if index > 1 and clock() - start > MAX_SECONDS:
            break
        for name in _rotated(names, index):
            before = clock()
            num_tokens = runs[name](given)
            times[name].append((clock() - before, max(1, num_tokens)))
    return {name: _speed(single[name], batched[name]) for name in names}


def first_batch(examples: Rows, batch_tokens: int) -> Rows:
    """The first examples, at most `BATCH_EXAMPLES`, that fit into a batch; one at least."""
    batch = list(examples[:BATCH_EXAMPLES])
    while len(batch) > 1 and len(batch) * max(len(row["input_ids"]) for row in batch) > batch_tokens:
        batch.pop()
    return batch


def generation_run(model: PreTrainedModel, pad_id: int, decoding: DecodingConfig) -> Run:
    """Generation as the task decodes."""

    def run(examples: Rows) -> int:
        ids = generate_ids(model, [row["input_ids"] for row in examples], pad_id, decoding)
        return int((ids[:, 1:] != pad_id).sum())  # the first token is given

    return run


def classification_run(model: PreTrainedModel, pad_id: int) -> Run:
    """One forward pass."""

    @torch.inference_mode()
    def run(examples: Rows) -> int:
        columns = {name: [row[name] for row in examples] for name in examples[0]}
        batch = collate_rows(columns, pad_id, None).to(next(iter(model.state_dict().values())).device)
        model(**batch.inputs).logits.argmax(dim=-1).tolist()
        return batch.num_source_tokens

    return run


def _speed(single: list[tuple[float, int]], batched: list[tuple[float, int]]) -> Speed:
    milliseconds = np.array([1000.0 * seconds for seconds, _ in single])
    p50, p95 = np.percentile(milliseconds, (50, 95))
    return Speed(
        latency_p50_ms=float(p50),
        latency_p95_ms=float(p95),
        ms_per_token=float(milliseconds.sum() / sum(num_tokens for _, num_tokens in single)),
        tokens_per_second=statistics.median(num_tokens / seconds for seconds, num_tokens in batched),
    )


def _rotated(names: list[str], by: int) -> list[str]:
    """Nobody is always first."""
    start = by % len(names)
    return [*names[start:], *names[:start]]
