"""A scheme: bits and granularity of weights, embeddings, positions and activations."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.config.schema import SCHEME_PATTERN, QuantisationConfig
from pipeline.quantization.quantisers import Quantiser, Symmetric, Ternary

NOT_QUANTISED = 32


@dataclass(frozen=True, kw_only=True)
class Scheme:
    """What is quantised how; 32 bits is not quantised. Written `W-E-A`."""

    weight_bits: int
    embedding_bits: int
    activation_bits: int
    position_bits: int
    weights_per_row: bool
    activations_per_token: bool
    clip_value: float | None
    attention: bool
    lm_head: bool

    @property
    def name(self) -> str:
        """`W-E-A`."""
        return f"{self.weight_bits}-{self.embedding_bits}-{self.activation_bits}"

    def weight_quantiser(self, bits: int) -> Quantiser | None:
        """The quantiser of a weight matrix, None where it stays as it is. Two bits are ternary."""
        if bits == NOT_QUANTISED:
            return None
        if bits == 2:
            return Ternary(per_row=self.weights_per_row, clip_value=self.clip_value)
        return Symmetric(bits=bits, per_row=self.weights_per_row, clip_value=self.clip_value)

    def embedding_quantiser(self, bits: int) -> Quantiser | None:
        """The quantiser of an embedding table: always one scale per row (PAPERS section 1.3)."""
        if bits == NOT_QUANTISED:
            return None
        if bits == 2:
            return Ternary(per_row=True, clip_value=self.clip_value)
        return Symmetric(bits=bits, per_row=True, clip_value=self.clip_value)

    def activation_quantiser(self, signed: bool = True) -> Quantiser | None:
        """The quantiser of activations; probabilities are not signed and get the whole grid."""
        if self.activation_bits == NOT_QUANTISED:
            return None
        clip = self.clip_value if signed else None
        return Symmetric(bits=self.activation_bits, per_row=self.activations_per_token, clip_value=clip, signed=signed)


def scheme_of(name: str, quantisation: QuantisationConfig) -> Scheme:
    """The scheme `W-E-A` under a recipe's quantiser settings. A scheme of 32-32-32 quantises nothing at all."""
    match = SCHEME_PATTERN.match(name)
    assert match is not None, name  # the schema has checked it
    weights, embeddings, activations = (int(bits) for bits in match.groups())
    plain = (weights, embeddings, activations) == (NOT_QUANTISED,) * 3
    return Scheme(
        weight_bits=weights,
        embedding_bits=embeddings,
        activation_bits=activations,
        position_bits=NOT_QUANTISED if plain else quantisation.position_bits,
        weights_per_row=quantisation.weight_granularity == "per_row",
        activations_per_token=quantisation.activation_granularity == "per_token",
        clip_value=quantisation.clip_value,
        attention=quantisation.attention,
        lm_head=quantisation.lm_head,
    )
