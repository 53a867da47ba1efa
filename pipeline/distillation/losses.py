"""Loss terms: masked sums over tokens, to be divided once by the global token count of the optimiser step.

Shapes: B batch, S source tokens, T target tokens, D width, V vocabulary, H heads, Q queries, K keys.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from pipeline.data.batches import IGNORED_LABEL


def cross_entropy_sum(logits: Tensor, labels: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """Cross-entropy with the reference, summed over target tokens.

    Args:
        logits: (B, T, V).
        labels: (B, T), -100 where padded.
        label_smoothing: probability spread over the vocabulary.
    """
    return functional.cross_entropy(
        logits.flatten(0, 1),
        labels.flatten(),
        ignore_index=IGNORED_LABEL,
        reduction="sum",
        label_smoothing=label_smoothing,
    )


def logits_kl_sum(student: Tensor, teacher: Tensor, mask: Tensor, temperature: float) -> Tensor:
    """KL(teacher || student) at a temperature, times temperature squared, summed over tokens.

    Args:
        student: (B, T, V) logits.
        teacher: (B, T, V) logits.
        mask: (B, T), True where a token counts.
        temperature: both logits are divided by it (Hinton et al. 2015).
    """
    student_log = functional.log_softmax(student[mask].float() / temperature, dim=-1)
    teacher_log = functional.log_softmax(teacher[mask].float() / temperature, dim=-1)
    return functional.kl_div(student_log, teacher_log, reduction="sum", log_target=True) * temperature**2


def mean_square_sum(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """Squared difference, averaged over the last axis, summed over tokens.

    Args:
        student: (B, T, D).
        teacher: (B, T, D).
        mask: (B, T), True where a token counts.
    """
    difference = (student - teacher.to(student.dtype)).float().square().mean(dim=-1)
    return torch.where(mask, difference, 0.0).sum()


def attention_square_sum(student: Tensor, teacher: Tensor, query_mask: Tensor) -> Tensor:
    """Squared difference of attention probabilities, summed over keys and queries, averaged over heads.

    A sum over keys: a mean would weigh short sources more. Masked keys have probability 0 in both.

    Args:
        student: (B, H, Q, K) probabilities.
        teacher: (B, H, Q, K) probabilities.
        query_mask: (B, Q), True where a query counts.
    """
    difference = (student - teacher.to(student.dtype)).float().square().sum(dim=-1).mean(dim=1)
    return torch.where(query_mask, difference, 0.0).sum()
