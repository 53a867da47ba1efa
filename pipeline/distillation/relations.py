"""Loss terms from dot products between the tokens of a sequence; sums over tokens, like those of `losses`.

Shapes: B batch, T tokens, D width, R relation heads.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from pipeline.distillation.losses import at_least_fp32


def relation_kl_sum(student: Tensor, teacher: Tensor, mask: Tensor, num_heads: int) -> Tensor:
    """KL(teacher || student) of self-attention relations, summed over queries, averaged over heads (MiniLMv2).

    A relation is the softmax of the scaled dot products of a sequence's vectors (Wang et al. 2021, arXiv 2012.15828).
    Vectors are cut into relation heads anew, so student and teacher may differ in width and in attention heads. In a
    decoder, too, a token relates to all others: the dot product with a later one is the one that attention uses there.

    Args:
        student: (B, T, D) queries, keys or values of all attention heads.
        teacher: the same of the teacher, of any width.
        mask: (B, T), True where a token counts, as query and as key.
        num_heads: R; divides both widths.
    """
    mine, theirs = (_log_relation(vectors, mask, num_heads) for vectors in (student, teacher))
    # A masked token is a query of zeros in both, so that it adds exactly 0.
    return functional.kl_div(mine, theirs, reduction="sum", log_target=True) / num_heads


def contrastive_sum(student: Tensor, teacher: Tensor, mask: Tensor, temperature: float) -> Tensor:
    """Token-level contrastive distillation (QuantBART: Tao et al. 2022, arXiv 2203.10705), summed over tokens.

    The cross-entropy of picking, by cosine similarity, the teacher's vector of the same token among its vectors of all
    tokens of the sequence. There is no momentum memory bank: the best negatives that the paper reports are the
    full-precision tokens of the same sequence. The teacher itself does not reach 0, as its tokens resemble each other.

    Args:
        student: (B, T, D) states of the last decoder layer.
        teacher: (B, T, D).
        mask: (B, T), True where a token counts, as itself and as a negative.
        temperature: similarities are divided by it.
    """
    mine, theirs = (functional.normalize(_cleared(states, mask), dim=-1) for states in (student, teacher))
    log = _log_softmax(mine @ theirs.transpose(1, 2) / temperature, mask[:, None])
    return torch.where(mask, -log.diagonal(dim1=1, dim2=2), 0.0).sum()


def _log_relation(vectors: Tensor, mask: Tensor, num_heads: int) -> Tensor:
    """Log-probabilities (B, R, T, T) of vectors (B, T, D)."""
    heads = _cleared(vectors, mask).reshape(*mask.shape, num_heads, -1).transpose(1, 2)
    return _log_softmax(heads @ heads.transpose(2, 3) / heads.size(-1) ** 0.5, mask[:, None, None])


def _log_softmax(scores: Tensor, key_mask: Tensor) -> Tensor:
    """Over the keys that count; a finite score for the others, because a filler row has no key that counts."""
    return scores.masked_fill(~key_mask, torch.finfo(scores.dtype).min).log_softmax(dim=-1)


def _cleared(vectors: Tensor, mask: Tensor) -> Tensor:
    """Vectors with zeros where masked: products would carry what stands there into the gradients of others."""
    return at_least_fp32(vectors).masked_fill(~mask[..., None], 0.0)
