"""Sharded generation: every example exactly once, whatever the number of ranks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import datasets
import torch
from torch import Tensor
from transformers import GenerationConfig, PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from pipeline.config.sections.task import DecodingConfig
from pipeline.data.batch import pad
from pipeline.data.batches import generation_batches
from pipeline.evaluation.gathered import gathered
from pipeline.models.special_tokens import special_tokens


@torch.inference_mode()
def generate_split(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    split: datasets.Dataset,
    decoding: DecodingConfig,
    *,
    batch_tokens: int,
    rank: int,
    num_ranks: int,
    gather: Callable[[Any], list[Any]],
    on_batch: Callable[[int, int], None] = lambda _, __: None,
) -> list[str]:
    """Predicted texts in the split's order, the same on every rank; arguments as of `generate_candidates`."""
    candidates = generate_candidates(
        model,
        tokenizer,
        split,
        decoding,
        num_candidates=1,
        batch_tokens=batch_tokens,
        rank=rank,
        num_ranks=num_ranks,
        gather=gather,
        on_batch=on_batch,
    )
    return [texts[0] for texts in candidates]


@torch.inference_mode()
def generate_candidates(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    split: datasets.Dataset,
    decoding: DecodingConfig,
    *,
    num_candidates: int,
    batch_tokens: int,
    rank: int,
    num_ranks: int,
    gather: Callable[[Any], list[Any]],
    on_batch: Callable[[int, int], None] = lambda _, __: None,
) -> list[list[str]]:
    """The best texts of every example, best first, in the split's order, the same on every rank.

    Args:
        model: any model with `generate`.
        tokenizer: its tokenizer.
        split: examples with `input_ids` and their lengths `source_tokens`.
        decoding: beams and lengths.
        num_candidates: texts per example, at most the number of beams.
        batch_tokens: most padded source tokens in a batch.
        rank: this rank.
        num_ranks: ranks that share the work.
        gather: collects one object of every rank on every rank.
        on_batch: told after each batch how many of this rank's batches are done, of how many.
    """
    was_training = model.training
    model.eval()
    mine = generation_batches(split["source_tokens"][:], batch_tokens, num_ranks)[rank]
    sources = split.select_columns(["input_ids"])
    predictions: dict[int, list[str]] = {}
    for index, examples in enumerate(mine):
        ids = generate_ids(model, sources[examples]["input_ids"], tokenizer.pad_token_id, decoding, num_candidates)
        texts = [text.strip() for text in tokenizer.batch_decode(ids, skip_special_tokens=True)]
        for row, example in enumerate(examples):
            predictions[example] = texts[row * num_candidates : (row + 1) * num_candidates]
        on_batch(index + 1, len(mine))
    model.train(was_training)
    return gathered(predictions, len(split), gather)


def generate_ids(
    model: PreTrainedModel, sources: list[list[int]], pad_id: int, decoding: DecodingConfig, num_candidates: int = 1
) -> Tensor:
    """Generated token ids of one batch, (batch x candidates, generated tokens)."""
    device = next(iter(model.state_dict().values())).device
    # Built whole, so that teacher and students decode alike whatever their checkpoints say.
    model.generation_config = generation_config(model.config, decoding)
    generated = model.generate(
        input_ids=pad(sources, pad_id).to(device),
        attention_mask=pad([[1] * len(ids) for ids in sources], 0).to(device),
        num_return_sequences=num_candidates,
    )
    assert isinstance(generated, Tensor)
    return generated


def generation_config(model_config: PretrainedConfig, decoding: DecodingConfig) -> GenerationConfig:
    """Everything that decides what `generate` does: the task's decoding and the model's special tokens."""
    tokens = special_tokens(model_config)
    end = tokens.ends[0] if tokens.ends else None
    return GenerationConfig(
        num_beams=decoding.num_beams,
        min_length=decoding.min_length,
        max_length=decoding.max_length,
        length_penalty=decoding.length_penalty,
        early_stopping=decoding.early_stopping if decoding.num_beams > 1 else False,
        no_repeat_ngram_size=decoding.no_repeat_ngram_size,
        do_sample=False,
        bos_token_id=tokens.bos,
        eos_token_id=list(tokens.ends) if len(tokens.ends) > 1 else end,
        pad_token_id=tokens.pad,
        decoder_start_token_id=tokens.start,
        forced_bos_token_id=tokens.first,
        suppress_tokens=tokens.suppressed or None,
        forced_eos_token_id=end,  # a text that reaches max_length ends there
    )
