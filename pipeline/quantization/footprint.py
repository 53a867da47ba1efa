"""Sizes of students by the papers' accounting (DQ-BART), beside our bytes on disk."""

from __future__ import annotations

from torch import nn

from pipeline.quantization.prepare import Sites


def paper_bytes(
    model: nn.Module, sites: Sites, weight_bits: float, embedding_bits: float, head_bits: float | None = None
) -> float:
    """Size of a model by the rule that reproduces DQ-BART's 16.5x and 27.7x.

    Token embeddings (each matrix once) at the embedding bits; weights and biases of the linear layers at the weight
    bits; positions, norms and what is left at 32 bits; no scales, no buffers.

    Args:
        model: the plain model; one on the meta device will do.
        sites: where it can be quantized.
        weight_bits: bits of linear layers.
        embedding_bits: bits of the token embedding.
        head_bits: bits of an output projection that is a matrix of its own; none: those of the embedding.
    """
    bits: dict[int, float] = {}
    head = () if sites.lm_head is None else (sites.lm_head,)
    kinds = ((head, embedding_bits if head_bits is None else head_bits), (sites.embeddings, embedding_bits))
    for names, count in (*kinds, (sites.linears, weight_bits)):
        for name in names:
            bits |= {id(parameter): count for parameter in model.get_submodule(name).parameters()}
    # What the architecture computes (sinusoids) is frozen and stored nowhere.
    stored = (parameter for parameter in model.parameters() if parameter.requires_grad)
    return sum(parameter.numel() * bits.get(id(parameter), 32) / 8 for parameter in stored)
