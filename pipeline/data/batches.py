"""Length-bucketed batches by token budget: deterministic, sharded over ranks, resumable at (epoch, batch).

The examples of an optimiser step depend on seed and epoch alone, never on the number of ranks or on how a step is split
into micro-batches; so a run gives the same gradients on one worker and on eight.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import datasets
import torch
from torch import Tensor

from pipeline.data.noise import infill

IGNORED_LABEL = -100
# Batches are cut from runs of this many examples sorted by length: little padding, still well mixed.
BUCKET_EXAMPLES = 2048


@dataclass(frozen=True, kw_only=True)
class Batch:
    """A padded micro-batch.

    Shapes: `input_ids`, `attention_mask` (batch, source tokens); `decoder_input_ids`, `labels` (batch, target tokens).
    Padding is 0 in the mask and -100 in the labels.
    """

    input_ids: Tensor
    attention_mask: Tensor
    decoder_input_ids: Tensor
    labels: Tensor

    @property
    def target_mask(self) -> Tensor:
        """True at target positions that count, (batch, target tokens)."""
        return self.labels != IGNORED_LABEL

    @property
    def source_mask(self) -> Tensor:
        """True at source positions that count, (batch, source tokens); a row without targets is a filler."""
        return self.attention_mask.bool() & self.target_mask.any(dim=1, keepdim=True)

    @property
    def num_source_tokens(self) -> int:
        """Source tokens without padding."""
        return int(self.source_mask.sum())

    @property
    def num_target_tokens(self) -> int:
        """Target tokens without padding."""
        return int(self.target_mask.sum())

    def to(self, device: torch.device) -> Batch:
        """The same batch on a device."""
        return Batch(**{name: tensor.to(device, non_blocking=True) for name, tensor in vars(self).items()})


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

    def _step_examples(self, epoch: int) -> list[list[int]]:
        shuffler = random.Random(f"{self.seed}:{epoch}")
        sizes = [source + target for source, target in self.lengths]
        order = list(range(len(sizes)))
        shuffler.shuffle(order)
        steps: list[list[int]] = []
        for start in range(0, len(order), BUCKET_EXAMPLES):
            bucket = sorted(order[start : start + BUCKET_EXAMPLES], key=lambda i: (sizes[i], i))
            current: list[int] = []
            num_tokens = 0
            for example in bucket:
                if current and num_tokens + sizes[example] > self.batch_tokens:
                    steps.append(current)
                    current, num_tokens = [], 0
                current.append(example)
                num_tokens += sizes[example]
            steps.append(current)
        shuffler.shuffle(steps)
        return steps

    def _split(self, examples: list[int]) -> list[list[list[int]]]:
        # Neighbours in length go to different ranks, so ranks finish together.
        ranks = [examples[rank :: self.num_ranks] for rank in range(self.num_ranks)]
        widest = sum(max(self.lengths[i][side] for i in examples) for side in (0, 1))  # as padded
        per_micro = max(1, self.micro_batch_tokens // widest)
        num_micro = max(1, math.ceil(max(len(rank) for rank in ranks) / per_micro))
        return [[rank[i * per_micro : (i + 1) * per_micro] for i in range(num_micro)] for rank in ranks]


def generation_batches(lengths: Sequence[int], batch_tokens: int, num_ranks: int) -> list[list[list[int]]]:
    """[rank] -> batches of example indices, longest first, every example exactly once.

    Args:
        lengths: source tokens of every example.
        batch_tokens: most padded source tokens in a batch.
        num_ranks: data-parallel workers; the examples of a batch do not depend on it.
    """
    batches: list[list[int]] = []
    for example in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        if not batches or (len(batches[-1]) + 1) * lengths[batches[-1][0]] > batch_tokens:
            batches.append([])
        batches[-1].append(example)
    return [batches[rank::num_ranks] for rank in range(num_ranks)]


def pad(rows: Sequence[Sequence[int]], value: int) -> Tensor:
    """Rows of token ids as one (rows, longest) int64 tensor."""
    width = max((len(row) for row in rows), default=1)
    return torch.tensor([[*row, *[value] * (width - len(row))] for row in rows], dtype=torch.int64)


def collate(
    sources: Sequence[Sequence[int]], labels: Sequence[Sequence[int]], pad_id: int, decoder_start_id: int
) -> Batch:
    """Pad a micro-batch and shift its labels right for teacher forcing.

    An empty micro-batch (a rank that has run out of examples) becomes one filler row without targets, so that its
    forward and backward passes still take part in collective communication.
    """
    empty = not sources
    if empty:
        sources, labels = [[pad_id]], [[IGNORED_LABEL]]
    padded_labels = pad(labels, IGNORED_LABEL)
    shifted = padded_labels.roll(1, dims=1)
    shifted = shifted.masked_fill(shifted == IGNORED_LABEL, pad_id)
    shifted[:, 0] = decoder_start_id
    return Batch(
        input_ids=pad(sources, pad_id),
        attention_mask=pad([[1] * len(row) for row in sources], 0),
        decoder_input_ids=shifted,
        labels=padded_labels,
    )


class TrainingBatches:
    """The micro-batches of one rank, optimiser step by optimiser step.

    Args:
        split: tokenised examples.
        plan: which examples form which step.
        rank: this data-parallel rank.
        pad_id: padding token.
        decoder_start_id: first token of the decoder.
        mask_id: mask token; given, sources are noised anew in every epoch (denoising objective).
    """

    def __init__(
        self,
        split: datasets.Dataset,
        plan: BatchPlan,
        *,
        rank: int,
        pad_id: int,
        decoder_start_id: int,
        mask_id: int | None = None,
    ) -> None:
        self.split, self.plan, self.rank = split.select_columns(["input_ids", "labels"]), plan, rank
        self.pad_id, self.decoder_start_id, self.mask_id = pad_id, decoder_start_id, mask_id

    def num_steps(self, epoch: int) -> int:
        """Optimiser steps of an epoch."""
        return self.plan.num_steps(epoch)

    def steps(self, epoch: int, start: int = 0) -> Iterator[list[Batch]]:
        """This rank's micro-batches of every optimiser step of an epoch, from step `start` on."""
        for step in self.plan.steps(epoch, start):
            yield [self._batch(examples, epoch) for examples in step.micro_batches[self.rank]]

    def _batch(self, examples: list[int], epoch: int) -> Batch:
        rows = self.split[examples] if examples else {"input_ids": [], "labels": []}
        sources = rows["input_ids"]
        if self.mask_id is not None:
            randoms = (random.Random(f"{self.plan.seed}:{epoch}:{i}") for i in examples)
            sources = [infill(ids, self.mask_id, rng) for ids, rng in zip(sources, randoms, strict=True)]
        return collate(sources, rows["labels"], self.pad_id, self.decoder_start_id)
