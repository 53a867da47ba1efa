"""Sizes of students by the papers' accounting (DQ-BART), beside our bytes on disk."""

from __future__ import annotations

from torch import nn

from pipeline.quantization.prepare import Sites


def rule_p_bytes(model: nn.Module, sites: Sites, weight_bits: float, embedding_bits: float) -> float:
    """Size of a model by the rule that reproduces DQ-BART's 16.5x and 27.7x.

    Token embedding (once) at the embedding bits; weights and biases of the linear layers at the weight bits; positions,
    norms and what is left at 32 bits; no scales, no buffers.

    Args:
        model: the plain model; one on the meta device will do.
        sites: where it can be quantised.
        weight_bits: bits of linear layers.
        embedding_bits: bits of the token embedding.
    """
    bits: dict[int, float] = {}
    for names, count in (((*sites.embeddings, sites.lm_head), embedding_bits), (sites.linears, weight_bits)):
        for name in filter(None, names):
            bits |= {id(parameter): count for parameter in model.get_submodule(name).parameters()}
    # What the architecture computes (sinusoids) is frozen and stored nowhere.
    stored = (parameter for parameter in model.parameters() if parameter.requires_grad)
    return sum(parameter.numel() * bits.get(id(parameter), 32) / 8 for parameter in stored)
