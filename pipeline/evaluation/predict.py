"""What a model says without generating: labels of a classifier, the likelihood of targets. Sharded over the ranks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import datasets
import torch
from torch import Tensor

from pipeline.data.batch import IGNORED_LABEL, Batch, collate_rows, model_columns
from pipeline.data.batches import generation_batches
from pipeline.data.noise import Noise, held_out
from pipeline.evaluation.gathered import gathered
from pipeline.models.forward import position_logits, start_token

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@torch.inference_mode()
def predict_labels(
    model: PreTrainedModel,
    split: datasets.Dataset,
    labels: list[str],
    *,
    batch_tokens: int,
    rank: int,
    num_ranks: int,
    gather: Callable[[Any], list[Any]],
    on_batch: Callable[[int], None] = lambda _: None,
) -> list[str]:
    """The likeliest label of every example, in the split's order, the same on every rank.

    Args:
        model: a classifier.
        split: tokenised examples.
        labels: names by number.
        batch_tokens: most padded source tokens in a batch.
        rank: this rank.
        num_ranks: ranks that share the work.
        gather: collects one object of every rank on every rank.
        on_batch: told after each batch how many examples it had.
    """
    lengths, found = split["source_tokens"][:], dict[int, str]()
    for examples, _, logits in _forward(model, split, lengths, batch_tokens, rank, num_ranks):
        choices = logits[:, 0].argmax(dim=-1).tolist()
        found |= {example: labels[choice] for example, choice in zip(examples, choices, strict=True)}
        on_batch(len(examples))
    return gathered(found, len(split), gather)


@dataclass(frozen=True, kw_only=True)
class TokenScores:
    """How well a model knows the next or the hidden token.

    Args:
        loss: mean cross-entropy of a target token.
        accuracy: target tokens that are the likeliest, in percent.
    """

    loss: float
    accuracy: float


@torch.inference_mode()
def token_scores(
    model: PreTrainedModel,
    split: datasets.Dataset,
    *,
    batch_tokens: int,
    rank: int,
    num_ranks: int,
    gather: Callable[[Any], list[Any]],
    noise: Noise | None = None,
) -> TokenScores:
    """Scores of the target tokens of a whole split, teacher-forced; arguments as of `predict_labels`.

    With a noise they are those of the noised examples, always noised in the same way.
    """
    lengths = [s + t for s, t in zip(split["source_tokens"][:], split["target_tokens"][:], strict=True)]
    total, num_right, num_tokens = 0.0, 0, 0
    for _, batch, logits in _forward(model, split, lengths, batch_tokens, rank, num_ranks, noise):
        labels = batch.labels.flatten()
        losses = torch.nn.functional.cross_entropy(
            logits.flatten(0, 1).float(), labels, ignore_index=IGNORED_LABEL, reduction="sum"
        )
        num_right += int((logits.argmax(dim=-1).flatten() == labels).sum())
        total, num_tokens = total + float(losses), num_tokens + batch.num_target_tokens
    parts = gather((total, num_right, num_tokens))
    summed_loss, right, tokens = (sum(part) for part in zip(*parts, strict=True))
    return TokenScores(loss=float(summed_loss / max(1, tokens)), accuracy=100 * right / max(1, tokens))


@torch.inference_mode()
def target_probabilities(
    model: PreTrainedModel,
    split: datasets.Dataset,
    *,
    batch_tokens: int,
    rank: int,
    num_ranks: int,
    gather: Callable[[Any], list[Any]],
) -> list[float]:
    """How likely a model finds the target of every example: the geometric mean over its tokens, of a label its own.

    In the split's order, the same on every rank; arguments as of `predict_labels`.
    """
    lengths = [s + t for s, t in zip(split["source_tokens"][:], split["target_tokens"][:], strict=True)]
    found = dict[int, float]()
    for examples, batch, logits in _forward(model, split, lengths, batch_tokens, rank, num_ranks):
        losses = torch.nn.functional.cross_entropy(
            logits.transpose(1, 2).float(), batch.labels, ignore_index=IGNORED_LABEL, reduction="none"
        ).sum(dim=1)
        means = losses / (batch.labels != IGNORED_LABEL).sum(dim=1).clamp_min(1)
        found |= dict(zip(examples, torch.exp(-means).tolist(), strict=True))
    return gathered(found, len(split), gather)


@torch.inference_mode()
def mean_states(
    model: PreTrainedModel,
    split: datasets.Dataset,
    *,
    batch_tokens: int,
    rank: int,
    num_ranks: int,
    gather: Callable[[Any], list[Any]],
) -> Tensor:
    """The mean over source tokens of the encoder's last hidden states, (examples, width) in fp32 on the CPU.

    In the split's order, the same on every rank; arguments as of `predict_labels`.
    """
    found = dict[int, Tensor]()
    batches = generation_batches(split["source_tokens"][:], batch_tokens, num_ranks)[rank]
    rows, start = model_columns(split), start_token(model.config)
    device = next(iter(model.state_dict().values())).device
    encoder = model.get_encoder() if start is not None else model.base_model
    for examples in batches:
        batch = collate_rows(rows[examples], model.config.pad_token_id, start).to(device)
        inputs = {name: value for name, value in batch.inputs.items() if not name.startswith("decoder")}
        states, mask = encoder(**inputs).last_hidden_state.float(), batch.source_mask.unsqueeze(-1)
        means = torch.where(mask, states, 0.0).sum(dim=1) / mask.sum(dim=1).clamp_min(1)
        found |= dict(zip(examples, means.cpu(), strict=True))
    return torch.stack(gathered(found, len(split), gather))


def _forward(
    model: PreTrainedModel,
    split: datasets.Dataset,
    lengths: list[int],
    batch_tokens: int,
    rank: int,
    num_ranks: int,
    noise: Noise | None = None,
) -> Iterator[tuple[list[int], Batch, Tensor]]:
    """This rank's batches: which examples, the batch, its logits."""
    was_training = model.training
    model.eval()
    rows, start = model_columns(split), start_token(model.config)
    device = next(iter(model.state_dict().values())).device
    for examples in generation_batches(lengths, batch_tokens, num_ranks)[rank]:
        chosen = rows[examples] if noise is None else held_out(rows[examples], noise, examples)
        batch = collate_rows(chosen, model.config.pad_token_id, start).to(device)
        yield examples, batch, position_logits(model(**batch.inputs))
    model.train(was_training)
