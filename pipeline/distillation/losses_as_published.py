"""The losses of DQ-BART as its released code computes them (arXiv 2203.11239, amazon-science/dq-bart).

Plain means over whole tensors of a micro-batch, padding included; layers summed; logits, attention probabilities and
hidden states compared by squared error. Micro-batches and ranks are averaged, so it matters how a batch is cut.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from pipeline.config.sections.recipe import DistillationConfig
from pipeline.data.batch import Batch
from pipeline.distillation.losses import cross_entropy_sum
from pipeline.distillation.objective import Signals, signals_of, with_embedding
from pipeline.training.engine import Engine
from pipeline.training.loop import TokenCounts


@dataclass(frozen=True, kw_only=True)
class PublishedObjective:
    """Task loss plus unmasked distances to the teacher.

    Args:
        weights: weight of every term.
        encoder_map: teacher layer of each encoder layer.
        decoder_map: teacher layer of each decoder layer.
        as_released: add the term that the released code computes by mistake: the squared error between the last encoder
            states of student and teacher, whatever the map, summed over the examples of the micro-batch.
        label_smoothing: of the task loss; published is none.
        needs_teacher: always.
    """

    weights: DistillationConfig
    encoder_map: list[int]
    decoder_map: list[int]
    as_released: bool
    label_smoothing: float = 0.0
    needs_teacher: bool = True

    def __call__(self, engine: Engine, batch: Batch, signals: Signals, counts: TokenCounts) -> dict[str, Tensor]:
        """See `training.loop.Objective`."""
        student, teacher = signals_of(engine.forward, batch), signals
        num_labels = max(batch.num_target_tokens, 1)
        encoder, decoder = with_embedding(self.encoder_map), with_embedding(self.decoder_map)
        terms = {
            "task_loss": cross_entropy_sum(student.logits, batch.labels, self.label_smoothing) / num_labels,
            "logits_loss": _square(student.logits, teacher.logits),
            "encoder_attention_loss": _layers(student.encoder_attention, teacher.encoder_attention, self.encoder_map),
            "decoder_attention_loss": _layers(student.decoder_attention, teacher.decoder_attention, self.decoder_map),
            "cross_attention_loss": _layers(student.cross_attention, teacher.cross_attention, self.decoder_map),
            "encoder_hidden_loss": _layers(student.encoder_hidden, teacher.encoder_hidden, encoder),
            "decoder_hidden_loss": _layers(student.decoder_hidden, teacher.decoder_hidden, decoder),
        }
        if self.as_released:
            last = zip(student.encoder_hidden[-1], teacher.encoder_hidden[-1], strict=True)
            terms["encoder_last_hidden_loss"] = torch.stack([_square(mine, theirs) for mine, theirs in last]).sum()
        # A filler, for a rank that has run out of examples, counts nothing.
        share = 1.0 / counts.num_micro_batches if batch.num_target_tokens else 0.0
        return {name: share * self.weight(name) * term for name, term in terms.items() if self.weight(name) > 0}

    def weight(self, term: str) -> float:
        """See `training.loop.Objective`."""
        name = "encoder_hidden" if term == "encoder_last_hidden_loss" else term.removesuffix("_loss")
        return float(getattr(self.weights, name))


def _square(student: Tensor, teacher: Tensor) -> Tensor:
    wide = torch.promote_types(student.dtype, torch.float32)
    return functional.mse_loss(student.to(wide), teacher.to(wide))


def _layers(student: tuple[Tensor, ...], teacher: tuple[Tensor, ...], teacher_layers: list[int]) -> Tensor:
    pairs = zip(student, teacher_layers, strict=True)
    return torch.stack([_square(mine, teacher[layer]) for mine, layer in pairs]).sum()
