"""The candidates Ξ: every combination of listed architectural parameters that can be built.

Published: the four parameters of an encoder and their values for BERT (arXiv 2010.10499, known to us from reading
notes). Decided here: the parameters of students; that what a space lists in vain is an error.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, fields

from pipeline.config.errors import UserError

CHANGE = "change the space that is searched"
NOT_QUANTIZED = 32.0


@dataclass(frozen=True, kw_only=True)
class EncoderArchitecture:
    """A BERT-like encoder.

    Args:
        layers: D.
        heads: A, attention heads of a layer.
        hidden: H, the model's width.
        intermediate: I, the width between the two matrices of a feed-forward layer.

    Raises:
        UserError: a number below 1, or heads that do not divide the width.
    """

    layers: int
    heads: int
    hidden: int
    intermediate: int

    def __post_init__(self) -> None:
        _check_positive(self)
        if self.hidden % self.heads:
            raise UserError(
                f"{self.heads} heads in a hidden width of {self.hidden}",
                f"a number of heads that divides {self.hidden}",
                "change the heads or the hidden width",
            )


@dataclass(frozen=True, kw_only=True)
class EncoderSpace:
    """Values per architectural parameter of an encoder."""

    layers: Sequence[int]
    heads: Sequence[int]
    hidden: Sequence[int]
    intermediate: Sequence[int]

    def points(self) -> tuple[EncoderArchitecture, ...]:
        """Every combination; without those whose heads do not divide the width, as published.

        Raises:
            UserError: a parameter without values, twice the same or none that is positive; heads that divide no width.
        """
        _check_lists(self)
        for heads in self.heads:
            if not any(width % heads == 0 for width in self.hidden):
                raise UserError(
                    f"{heads} heads, which divide none of the hidden widths {list(self.hidden)}",
                    "heads that divide at least one hidden width",
                    CHANGE,
                )
        return tuple(
            EncoderArchitecture(layers=layers, heads=heads, hidden=hidden, intermediate=intermediate)
            for layers, heads, hidden, intermediate in itertools.product(
                self.layers, self.heads, self.hidden, self.intermediate
            )
            if hidden % heads == 0
        )


@dataclass(frozen=True, kw_only=True)
class StudentArchitecture:
    """What a student keeps of its teacher.

    Args:
        encoder_layers: depth of the encoder.
        decoder_layers: depth of the decoder; 0: an encoder alone.
        heads: attention heads that it keeps, of all attentions together: evenly, as far as they divide.
        weight_bits: bits of the matrices of its layers.
        embedding_bits: bits of the token table.

    Raises:
        UserError: a count below 1, or bits that are not above 0 and at most 32.
    """

    encoder_layers: int
    decoder_layers: int
    heads: int
    weight_bits: float
    embedding_bits: float

    def __post_init__(self) -> None:
        _check_positive(self)
        for bits in (self.weight_bits, self.embedding_bits):
            if bits > NOT_QUANTIZED:
                raise UserError(f"{bits:g} bits", "at most 32 bits, which is not quantized", CHANGE)


def _check_positive(architecture: EncoderArchitecture | StudentArchitecture) -> None:
    for field in fields(architecture):
        if not _is_possible(field.name, getattr(architecture, field.name)):
            given = f"{field.name.replace('_', ' ')} = {getattr(architecture, field.name)}"
            raise UserError(given, "positive numbers", CHANGE)


def _is_possible(parameter: str, value: float) -> bool:
    return value > 0 or (value == 0 and parameter == "decoder_layers")  # an encoder alone has none


def _check_lists(space: EncoderSpace) -> None:
    for field in fields(space):
        name, values = field.name.replace("_", " "), list(getattr(space, field.name))
        if not values:
            raise UserError(f"an empty space: no value for {name}", "one or more values per parameter", CHANGE)
        if len(set(values)) < len(values):
            raise UserError(f"{name} = {values}, some twice", "every value once", CHANGE)
        if not all(value > 0 for value in values):
            raise UserError(f"{name} = {values}", "positive numbers", CHANGE)


# arXiv 2010.10499: 360 combinations, of which 60 have 12 heads in a width that they do not divide.
# BERT-large is deeper and wider than any of them; Bort's authors normalise by it all the same.
BERT_SPACE = EncoderSpace(
    layers=(2, 4, 6, 8, 10, 12),
    heads=(4, 8, 12, 16),
    hidden=(512, 768, 1024),
    intermediate=(256, 512, 768, 1024, 3072),
)
BORT = EncoderArchitecture(layers=4, heads=8, hidden=1024, intermediate=768)
BERT_LARGE = EncoderArchitecture(layers=24, heads=16, hidden=1024, intermediate=4096)
