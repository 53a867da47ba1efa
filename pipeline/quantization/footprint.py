"""Sizes of BART-like students by formula: the papers' accounting beside our bytes on disk (DQ-BART)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What the formulas need to know of a BART-like model."""

    vocab_size: int
    d_model: int
    encoder_ffn_dim: int
    decoder_ffn_dim: int
    num_positions: int
    encoder_layers: int
    decoder_layers: int


def rule_p_bytes(shape: Shape, weight_bits: float, embedding_bits: float) -> float:
    """Size by the rule that reproduces DQ-BART's 16.5x and 27.7x.

    Token embedding (once) at the embedding bits; linear weights and biases at the weight bits; positions and layer
    norms at 32 bits; no scales, no logits bias.
    """
    d, e_ffn, d_ffn = shape.d_model, shape.encoder_ffn_dim, shape.decoder_ffn_dim
    encoder, decoder = shape.encoder_layers, shape.decoder_layers
    embedding = shape.vocab_size * d
    linear = encoder * (4 * d * d + 2 * d * e_ffn) + decoder * (8 * d * d + 2 * d * d_ffn)
    bias = encoder * (5 * d + e_ffn) + decoder * (9 * d + d_ffn)
    norms = (encoder * 2 + decoder * 3 + 2) * 2 * d
    positions = 2 * shape.num_positions * d
    return embedding * embedding_bits / 8 + (linear + bias) * weight_bits / 8 + 4 * (norms + positions)
