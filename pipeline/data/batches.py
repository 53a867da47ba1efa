"""Length-bucketed batches by token budget: deterministic, sharded over ranks, resumable at (epoch, batch).

The examples of an optimiser step depend on seed and epoch alone, never on the number of ranks or on how a step is split
into micro-batches; so a run gives the same gradients on one worker and on eight.
"""

from __future__ import annotations

import math
import random
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import datasets

from pipeline.data.batch import Batch, collate_rows, model_columns
from pipeline.data.lengths import INT32
from pipeline.data.limits import length_batches
from pipeline.data.noise import Noise, noised

# Batches are cut from runs of this many examples sorted by length: little padding, still well mixed.
BUCKET_EXAMPLES = 2048


@dataclass(frozen=True, kw_only=True)
class StepPlan:
    """The examples of one optimiser step, split for ranks and micro-batches.

    Every rank has the same number of micro-batches (some may be empty), so collective calls line up.
    """

    epoch: int
    index: int
    micro_batches: list[list[list[int]]]  # [rank][micro-batch] -> example indices


@dataclass(frozen=True, kw_only=True)
class BatchPlan:
    """Which examples form which optimiser step.

    Args:
        lengths: (source, target) tokens of every example.
        batch_tokens: tokens per optimiser step, all ranks together.
        micro_batch_tokens: most padded tokens in one forward pass of one rank.
        num_ranks: data-parallel workers.
        seed: order of the examples.
    """

    lengths: Sequence[tuple[int, int]]
    batch_tokens: int
    micro_batch_tokens: int
    num_ranks: int
    seed: int

    def steps(self, epoch: int, start: int = 0) -> Iterator[StepPlan]:
        """The optimiser steps of an epoch from step `start` on."""
        for index, examples in enumerate(self._step_examples(epoch)):
            if index >= start:
                yield StepPlan(epoch=epoch, index=index, micro_batches=self._split(examples))

    def num_steps(self, epoch: int) -> int:
        """Optimiser steps of an epoch."""
        return len(self._step_examples(epoch))

    def _step_examples(self, epoch: int) -> list[array[int]]:
        """The examples of every step; in arrays, because a corpus for pre-training has many."""
        shuffler = random.Random(f"{self.seed}:{epoch}")
        sizes = array(INT32, (source + target for source, target in self.lengths))
        order = array(INT32, range(len(sizes)))
        shuffler.shuffle(order)
        steps: list[array[int]] = []
        for start in range(0, len(order), BUCKET_EXAMPLES):
            bucket = sorted(order[start : start + BUCKET_EXAMPLES], key=lambda i: (sizes[i], i))
            current: list[int] = []
            num_tokens = 0
            for example in bucket:
                if current and num_tokens + sizes[example] > self.batch_tokens:
                    steps.append(array(INT32, current))
                    current, num_tokens = [], 0
                current.append(example)
                num_tokens += sizes[example]
            steps.append(array(INT32, current))
        shuffler.shuffle(steps)
        return steps

    def _split(self, examples: array[int]) -> list[list[list[int]]]:
        # Neighbours in length go to different ranks, so ranks finish together.
        ranks = [examples[rank :: self.num_ranks] for rank in range(self.num_ranks)]
        widest = sum(max(self.lengths[i][side] for i in examples) for side in (0, 1))  # as padded
        per_micro = max(1, self.micro_batch_tokens // widest)
        num_micro = max(1, math.ceil(max(len(rank) for rank in ranks) / per_micro))
        return [[rank[i * per_micro : (i + 1) * per_micro].tolist() for i in range(num_micro)] for rank in ranks]


def generation_batches(lengths: Sequence[int], batch_tokens: int, num_ranks: int) -> list[list[list[int]]]:
    """[rank] -> batches of example indices, longest first, every example exactly once.

    Args:
        lengths: source tokens of every example.
        batch_tokens: most padded source tokens in a batch.
        num_ranks: data-parallel workers; the examples of a batch do not depend on it.
    """
    batches = length_batches(lengths, batch_tokens)
    return [batches[rank::num_ranks] for rank in range(num_ranks)]


class TrainingBatches:
    """The micro-batches of one rank, optimiser step by optimiser step.

    Args:
        split: tokenised examples.
        plan: which examples form which step.
        rank: this data-parallel rank.
        pad_id: padding token.
        decoder_start_id: first token of the decoder; none for an encoder alone.
        noise: what every example goes through anew in every epoch.
    """

    def __init__(
        self,
        split: datasets.Dataset,
        plan: BatchPlan,
        *,
        rank: int,
        pad_id: int,
        decoder_start_id: int | None,
        noise: Noise | None = None,
    ) -> None:
        self.split, self.plan, self.rank = model_columns(split), plan, rank
        self.pad_id, self.decoder_start_id, self.noise = pad_id, decoder_start_id, noise

    def num_steps(self, epoch: int) -> int:
        """Optimiser steps of an epoch."""
        return self.plan.num_steps(epoch)

    def steps(self, epoch: int, start: int = 0) -> Iterator[list[Batch]]:
        """This rank's micro-batches of every optimiser step of an epoch, from step `start` on."""
        for step in self.plan.steps(epoch, start):
            yield [self._batch(examples, epoch) for examples in step.micro_batches[self.rank]]

    def _batch(self, examples: list[int], epoch: int) -> Batch:
        rows = self.split[examples] if examples else {name: [] for name in self.split.column_names}
        if self.noise is not None:
            randoms = [random.Random(f"{self.plan.seed}:{epoch}:{i}") for i in examples]
            rows = noised(rows, self.noise, randoms)
        return collate_rows(rows, self.pad_id, self.decoder_start_id)
