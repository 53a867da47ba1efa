"""Loss terms: masked sums over tokens, to be divided once by the global token count of the optimiser step.

All are computed in fp32 at least, whatever precision the models ran in: a sum over a vocabulary in bf16 keeps 8 bits.

Shapes: B batch, S source tokens, T target tokens, D width, V vocabulary, H heads, Q queries, K keys.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from pipeline.data.batch import IGNORED_LABEL

LEAST_PROBABILITY = 1e-30  # its logarithm and its reciprocal, times any weight, are finite in fp32


def cross_entropy_sum(logits: Tensor, labels: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """Cross-entropy with the reference, summed over target tokens.

    Args:
        logits: (B, T, V).
        labels: (B, T), -100 where padded.
        label_smoothing: probability spread over the vocabulary.
    """
    return functional.cross_entropy(
        at_least_fp32(logits).flatten(0, 1),
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
    student_log = functional.log_softmax(at_least_fp32(student[mask]) / temperature, dim=-1)
    teacher_log = functional.log_softmax(at_least_fp32(teacher[mask]) / temperature, dim=-1)
    return functional.kl_div(student_log, teacher_log, reduction="sum", log_target=True) * temperature**2


def mean_square_sum(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """Squared difference, averaged over the last axis, summed over tokens.

    Args:
        student: (B, T, D).
        teacher: (B, T, D).
        mask: (B, T), True where a token counts.
    """
    difference = (at_least_fp32(student) - at_least_fp32(teacher)).square().mean(dim=-1)
    return torch.where(mask, difference, 0.0).sum()


def normalised_square_sum(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """`mean_square_sum` of vectors normalised to mean 0 and variance 1 over the width (Shleifer & Rush 2020).

    Args:
        student: (B, T, D).
        teacher: (B, T, D).
        mask: (B, T), True where a token counts.
    """
    mine, theirs = (functional.layer_norm(at_least_fp32(states), states.shape[-1:]) for states in (student, teacher))
    return mean_square_sum(mine, theirs, mask)


def attention_square_sum(student: Tensor, teacher: Tensor, query_mask: Tensor) -> Tensor:
    """Squared difference of attention probabilities, summed over keys and queries, averaged over heads.

    A sum over keys: a mean would weigh short sources more. Masked keys have probability 0 in both.

    Args:
        student: (B, H, Q, K) probabilities.
        teacher: (B, H, Q, K) probabilities.
        query_mask: (B, Q), True where a query counts.
    """
    difference = (at_least_fp32(student) - at_least_fp32(teacher)).square().sum(dim=-1).mean(dim=1)
    return torch.where(query_mask, difference, 0.0).sum()


def attention_kl_sum(student: Tensor, teacher: Tensor, query_mask: Tensor) -> Tensor:
    """KL(teacher || student) of attention probabilities, summed over queries, averaged over heads (Wang et al. 2020).

    Masked keys have probability 0 in both and add 0. A student's 0 counts as `LEAST_PROBABILITY`.

    Args:
        student: (B, H, Q, K) probabilities.
        teacher: (B, H, Q, K) probabilities.
        query_mask: (B, Q), True where a query counts.
    """
    mine, theirs = at_least_fp32(student).clamp_min(LEAST_PROBABILITY), at_least_fp32(teacher)
    divergence = (torch.xlogy(theirs, theirs) - torch.xlogy(theirs, mine)).sum(dim=-1).mean(dim=1)
    return torch.where(query_mask, divergence, 0.0).sum()


def at_least_fp32(values: Tensor) -> Tensor:
    """The same values in fp32, or in their own wider type."""
    return values.to(torch.promote_types(values.dtype, torch.float32))
