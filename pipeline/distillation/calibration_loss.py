"""The loss by which models are compared on a few batches: cross-entropy with the references, distance to a teacher."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from pipeline.data.batch import Batch
from pipeline.distillation.losses import cross_entropy_sum, logits_kl_sum
from pipeline.models.forward import position_logits

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True, kw_only=True)
class CalibrationLoss:
    """Mean loss per target token of a model on given batches.

    Args:
        batches: on the model's device.
        task: weight of the cross-entropy with the references.
        logits: weight of KL(teacher || model).
        teacher_logits: `target_logits` of the teacher, where that has a weight.
        temperature: of the KL divergence.
    """

    batches: Sequence[Batch]
    task: float = 1.0
    logits: float = 0.0
    teacher_logits: Sequence[Tensor] = ()
    temperature: float = 1.0

    @torch.no_grad()
    def __call__(self, model: PreTrainedModel) -> float:
        """The mean loss of a model in evaluation mode."""
        teacher = self.teacher_logits if self.logits else [None] * len(self.batches)
        total = sum(self._sum(model, *pair) for pair in zip(self.batches, teacher, strict=True))
        return total / max(1, sum(batch.num_target_tokens for batch in self.batches))

    def _sum(self, model: PreTrainedModel, batch: Batch, theirs: Tensor | None) -> float:
        logits, total = position_logits(model(**batch.inputs)), 0.0
        if self.task:
            total += self.task * float(cross_entropy_sum(logits, batch.labels))
        if theirs is not None:
            mine, everywhere = logits[batch.target_mask], torch.ones_like(theirs[..., 0], dtype=torch.bool)
            total += self.logits * float(logits_kl_sum(mine, theirs, everywhere, self.temperature))
        return total


@torch.no_grad()
def target_logits(teacher: PreTrainedModel, batches: Sequence[Batch]) -> list[Tensor]:
    """A teacher's logits at the target positions that count, (target tokens, vocabulary) for each batch."""
    return [position_logits(teacher(**batch.inputs))[batch.target_mask] for batch in batches]
