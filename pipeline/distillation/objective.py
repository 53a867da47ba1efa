"""What a student minimises: task loss plus distances to the teacher, each masked and divided by global token counts.

Layer distances are averaged over the student's layers, so a weight means the same at every depth.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pipeline.config.schema import DistillationConfig
from pipeline.data.batches import Batch
from pipeline.distillation import losses
from pipeline.training.engine import Engine
from pipeline.training.loop import TokenCounts


@dataclass(frozen=True, kw_only=True)
class Signals:
    """What a model shows for one batch. Hidden states start with the embedding output: index i + 1 is layer i."""

    logits: Tensor
    encoder_hidden: tuple[Tensor, ...]
    decoder_hidden: tuple[Tensor, ...]
    encoder_attention: tuple[Tensor, ...]
    decoder_attention: tuple[Tensor, ...]
    cross_attention: tuple[Tensor, ...]


def signals_of(forward: Callable[..., Any], batch: Batch, internals: bool = True) -> Signals:
    """Run a model on a batch, with attention maps and hidden states where `internals` asks for them."""
    output = forward(
        input_ids=batch.input_ids,
        attention_mask=batch.attention_mask,
        decoder_input_ids=batch.decoder_input_ids,
        output_hidden_states=internals,
        output_attentions=internals,
        use_cache=False,
    )
    return Signals(
        logits=output.logits,
        encoder_hidden=output.encoder_hidden_states or (),
        decoder_hidden=output.decoder_hidden_states or (),
        encoder_attention=output.encoder_attentions or (),
        decoder_attention=output.decoder_attentions or (),
        cross_attention=output.cross_attentions or (),
    )


@dataclass(frozen=True, kw_only=True)
class TaskObjective:
    """Cross-entropy with the references alone."""

    label_smoothing: float = 0.0
    needs_teacher: bool = False

    def __call__(self, engine: Engine, batch: Batch, signals: Any, counts: TokenCounts) -> dict[str, Tensor]:
        """See `training.loop.Objective`."""
        logits = signals_of(engine.forward, batch, internals=False).logits
        total = losses.cross_entropy_sum(logits, batch.labels, self.label_smoothing)
        return {"task_loss": total / counts.num_target}

    def weight(self, term: str) -> float:
        """See `training.loop.Objective`."""
        return 1.0


@dataclass(frozen=True, kw_only=True)
class DistillationObjective:
    """Task loss plus distances to the teacher."""

    weights: DistillationConfig
    encoder_map: list[int]
    decoder_map: list[int]
    label_smoothing: float = 0.0
    needs_teacher: bool = True

    def __call__(self, engine: Engine, batch: Batch, signals: Signals, counts: TokenCounts) -> dict[str, Tensor]:
        """See `training.loop.Objective`."""
        student, weights = signals_of(engine.forward, batch), self.weights
        terms: dict[str, tuple[float, Callable[[], Tensor]]] = {
            "task_loss": (
                weights.task / counts.num_target,
                lambda: losses.cross_entropy_sum(student.logits, batch.labels, self.label_smoothing),
            ),
            "logits_loss": (weights.logits / counts.num_target, lambda: self._logits(student, signals, batch)),
            "encoder_attention_loss": (
                weights.encoder_attention / counts.num_source,
                lambda: _layer_mean(
                    losses.attention_square_sum,
                    student.encoder_attention,
                    signals.encoder_attention,
                    self.encoder_map,
                    batch.source_mask,
                ),
            ),
            "decoder_attention_loss": (
                weights.decoder_attention / counts.num_target,
                lambda: _layer_mean(
                    losses.attention_square_sum,
                    student.decoder_attention,
                    signals.decoder_attention,
                    self.decoder_map,
                    batch.target_mask,
                ),
            ),
            "cross_attention_loss": (
                weights.cross_attention / counts.num_target,
                lambda: _layer_mean(
                    losses.attention_square_sum,
                    student.cross_attention,
                    signals.cross_attention,
                    self.decoder_map,
                    batch.target_mask,
                ),
            ),
            "encoder_hidden_loss": (
                weights.encoder_hidden / counts.num_source,
                lambda: _layer_mean(
                    losses.mean_square_sum,
                    student.encoder_hidden,
                    signals.encoder_hidden,
                    with_embedding(self.encoder_map),
                    batch.source_mask,
                ),
            ),
            "decoder_hidden_loss": (
                weights.decoder_hidden / counts.num_target,
                lambda: _layer_mean(
                    losses.mean_square_sum,
                    student.decoder_hidden,
                    signals.decoder_hidden,
                    with_embedding(self.decoder_map),
                    batch.target_mask,
                ),
            ),
        }
        return {name: factor * term() for name, (factor, term) in terms.items() if factor > 0}

    def weight(self, term: str) -> float:
        """See `training.loop.Objective`."""
        return float(getattr(self.weights, term.removesuffix("_loss")))

    def _logits(self, student: Signals, teacher: Signals, batch: Batch) -> Tensor:
        if self.weights.logits_kind == "mse":
            return losses.mean_square_sum(student.logits, teacher.logits, batch.target_mask)
        return losses.logits_kl_sum(student.logits, teacher.logits, batch.target_mask, self.weights.temperature)


def with_embedding(layer_map: list[int]) -> list[int]:
    """The map over hidden states: the embedding output imitates the embedding output."""
    return [0, *(layer + 1 for layer in layer_map)]


def _layer_mean(
    loss: Callable[[Tensor, Tensor, Tensor], Tensor],
    student: tuple[Tensor, ...],
    teacher: tuple[Tensor, ...],
    teacher_layers: list[int],
    mask: Tensor,
) -> Tensor:
    pairs = zip(student, teacher_layers, strict=True)
    return torch.stack([loss(mine, teacher[layer], mask) for mine, layer in pairs]).mean()
