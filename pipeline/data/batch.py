"""Padded batches: what models are given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import datasets
import torch
from torch import Tensor

IGNORED_LABEL = -100


@dataclass(frozen=True, kw_only=True)
class Batch:
    """A padded micro-batch.

    Shapes: `input_ids`, `attention_mask`, `token_type_ids` (batch, source tokens); `decoder_input_ids`, `labels`
    (batch, target tokens). Padding is 0 in the mask and -100 in the labels. A classifier has no decoder: its only
    target token is the number of the label. A masked LM has none either: `target_positions`, of the labels' shape, says
    where among the source tokens its targets are; they are padded with 0.
    """

    input_ids: Tensor
    attention_mask: Tensor
    labels: Tensor
    decoder_input_ids: Tensor | None
    token_type_ids: Tensor | None = None
    target_positions: Tensor | None = None

    @property
    def inputs(self) -> dict[str, Any]:
        """Keyword arguments of a model's forward pass."""
        inputs: dict[str, Any] = {"input_ids": self.input_ids, "attention_mask": self.attention_mask}
        if self.token_type_ids is not None:
            inputs["token_type_ids"] = self.token_type_ids
        if self.target_positions is not None:
            inputs["target_positions"] = self.target_positions
        if self.decoder_input_ids is not None:
            inputs |= {"decoder_input_ids": self.decoder_input_ids, "use_cache": False}
        return inputs

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
        tensors = {name: tensor for name, tensor in vars(self).items() if tensor is not None}
        moved = {name: tensor.to(device, non_blocking=True) for name, tensor in tensors.items()}
        return Batch(**{"decoder_input_ids": None, **moved})


def pad(rows: Sequence[Sequence[int]], value: int) -> Tensor:
    """Rows of token ids as one (rows, longest) int64 tensor."""
    width = max((len(row) for row in rows), default=1)
    return torch.tensor([[*row, *[value] * (width - len(row))] for row in rows], dtype=torch.int64)


def collate(
    sources: Sequence[Sequence[int]],
    labels: Sequence[Sequence[int]],
    pad_id: int,
    decoder_start_id: int | None,
    token_types: Sequence[Sequence[int]] | None = None,
    target_positions: Sequence[Sequence[int]] | None = None,
) -> Batch:
    """Pad a micro-batch and shift its labels right for teacher forcing; without a first token there is no decoder.

    An empty micro-batch (a rank that has run out of examples) becomes one filler row without targets, so that its
    forward and backward passes still take part in collective communication.
    """
    if not sources:
        sources, labels, token_types = [[pad_id]], [[IGNORED_LABEL]], None if token_types is None else [[0]]
        target_positions = None  # of one token
    padded_labels = pad(labels, IGNORED_LABEL)
    shifted = None
    if decoder_start_id is not None:
        shifted = padded_labels.roll(1, dims=1)
        shifted = shifted.masked_fill(shifted == IGNORED_LABEL, pad_id)
        shifted[:, 0] = decoder_start_id
    return Batch(
        input_ids=pad(sources, pad_id),
        attention_mask=pad([[1] * len(row) for row in sources], 0),
        labels=padded_labels,
        decoder_input_ids=shifted,
        token_type_ids=None if token_types is None else pad(token_types, 0),
        target_positions=None if target_positions is None else pad(target_positions, 0),
    )


def collate_rows(rows: Mapping[str, Any], pad_id: int, decoder_start_id: int | None) -> Batch:
    """`collate` of tokenised examples, column by column."""
    more = (rows.get("token_type_ids"), rows.get("target_positions"))
    return collate(rows["input_ids"], rows["labels"], pad_id, decoder_start_id, *more)


def model_columns(split: datasets.Dataset) -> datasets.Dataset:
    """A tokenised split without its texts."""
    return split.select_columns([name for name in ("input_ids", "labels", "token_type_ids") if name in split.features])
