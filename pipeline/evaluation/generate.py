"""Sharded generation: every example exactly once, whatever the number of ranks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import datasets
import torch
from torch import Tensor

from pipeline.config.schema import DecodingConfig
from pipeline.data.batches import IGNORED_LABEL, collate, generation_batches, pad


@torch.inference_mode()
def generate_split(
    model: Any,
    tokenizer: Any,
    split: datasets.Dataset,
    decoding: DecodingConfig,
    *,
    batch_tokens: int,
    rank: int,
    num_ranks: int,
    gather: Callable[[Any], list[Any]],
) -> list[str]:
    """Predicted texts in the split's order, the same on every rank.

    Args:
        model: any model with `generate`.
        tokenizer: its tokenizer.
        split: examples with `input_ids` and their lengths `source_tokens`.
        decoding: beams and lengths.
        batch_tokens: most padded source tokens in a batch.
        rank: this rank.
        num_ranks: ranks that share the work.
        gather: collects one object of every rank on every rank.
    """
    was_training = model.training
    model.eval()
    mine = generation_batches(split["source_tokens"][:], batch_tokens, num_ranks)[rank]
    sources = split.select_columns(["input_ids"])
    predictions: dict[int, str] = {}
    for examples in mine:
        ids = generate_ids(model, sources[examples]["input_ids"], tokenizer.pad_token_id, decoding)
        texts = tokenizer.batch_decode(ids, skip_special_tokens=True)
        predictions.update(zip(examples, (text.strip() for text in texts), strict=True))
    model.train(was_training)
    merged = {index: text for part in gather(predictions) for index, text in part.items()}
    return [merged[index] for index in range(len(split))]


def generate_ids(model: Any, sources: list[list[int]], pad_id: int, decoding: DecodingConfig) -> Tensor:
    """Generated token ids of one batch, (batch, generated tokens)."""
    device = next(iter(model.state_dict().values())).device
    input_ids = pad(sources, pad_id).to(device)
    mask = pad([[1] * len(ids) for ids in sources], 0).to(device)
    options: dict[str, Any] = {"length_penalty": decoding.length_penalty} if decoding.num_beams > 1 else {}
    generated = model.generate(
        input_ids=input_ids,
        attention_mask=mask,
        num_beams=decoding.num_beams,
        min_length=decoding.min_length,
        max_length=decoding.max_length,
        no_repeat_ngram_size=decoding.no_repeat_ngram_size,
        do_sample=False,
        **options,
    )
    assert isinstance(generated, Tensor)
    return generated


@torch.inference_mode()
def mean_loss(model: Any, split: datasets.Dataset, pad_id: int, decoder_start_id: int, batch_tokens: int) -> float:
    """Mean cross-entropy per target token of a whole split, teacher-forced."""
    was_training = model.training
    model.eval()
    rows = split.select_columns(["input_ids", "labels"])
    device = next(iter(model.state_dict().values())).device
    lengths = [s + t for s, t in zip(split["source_tokens"][:], split["target_tokens"][:], strict=True)]
    total, num_tokens = 0.0, 0
    for examples in generation_batches(lengths, batch_tokens, 1)[0]:
        chosen = rows[examples]
        batch = collate(chosen["input_ids"], chosen["labels"], pad_id, decoder_start_id).to(device)
        logits = model(
            input_ids=batch.input_ids,
            attention_mask=batch.attention_mask,
            decoder_input_ids=batch.decoder_input_ids,
            use_cache=False,
        ).logits
        losses = torch.nn.functional.cross_entropy(
            logits.flatten(0, 1).float(), batch.labels.flatten(), ignore_index=IGNORED_LABEL, reduction="sum"
        )
        total, num_tokens = total + float(losses), num_tokens + batch.num_target_tokens
    model.train(was_training)
    return total / max(1, num_tokens)
