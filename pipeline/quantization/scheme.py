"""A scheme: bits `W-E-A` under a recipe's quantiser settings, and the quantiser of every kind of tensor."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from pipeline.config.recipe import QuantisationConfig, QuantisersConfig
from pipeline.quantization.blocks import ROW, TENSOR, Blocks, blocks_of
from pipeline.quantization.learned import AnchoredClip, ElasticStep, LearnedStep, StretchedElastic
from pipeline.quantization.quantisers import Asymmetric, Elastic, Quantiser, Symmetric, Ternary
from pipeline.quantization.settings import NOT_QUANTISED as NOT_QUANTISED  # whoever knows schemes knows them, too
from pipeline.quantization.settings import bits_of, check_settings, is_plain
from pipeline.quantization.settings import patterns_of as patterns_of


@dataclass(frozen=True, kw_only=True)
class Scheme:
    """What is quantised how; 32 bits is not quantised. Written `W-E-A`."""

    weight_bits: float
    embedding_bits: float
    activation_bits: float
    position_bits: float
    quantisation: QuantisationConfig

    @property
    def name(self) -> str:
        """`W-E-A`."""
        return f"{self.weight_bits:g}-{self.embedding_bits:g}-{self.activation_bits:g}"

    def bits_of(self, module: str, bits: float) -> float:
        """The bits of one module: those of its kind, unless a pattern of the recipe says otherwise."""
        for pattern, special in patterns_of(self.quantisation):
            if fnmatchcase(module, pattern):
                bits = special
        return bits

    def weight_quantiser(self, bits: float) -> Quantiser:
        """The quantiser of a linear layer's weight."""
        return self._quantiser(self.quantisation.weights, self.quantisation.weight_granularity, bits)

    def embedding_quantiser(self, bits: float) -> Quantiser:
        """The quantiser of an embedding table."""
        return self._quantiser(self.quantisation.embeddings, self.quantisation.embedding_granularity, bits)

    def activation_quantiser(self) -> Quantiser | None:
        """The quantiser of what enters linear layers, and of queries, keys and values."""
        if self.activation_bits == NOT_QUANTISED:
            return None
        if self._learns_activations:
            return ElasticStep(bits=int(self.activation_bits))
        return Symmetric(
            bits=int(self.activation_bits),
            blocks=self._activation_blocks,
            clip_value=self.quantisation.clip_value,
            as_published=self.quantisation.as_published,
        )

    def probability_quantiser(self) -> Quantiser | None:
        """The quantiser of attention probabilities."""
        if self.quantisation.probabilities == "signed" or self.activation_bits == NOT_QUANTISED:
            return self.activation_quantiser()
        if self._learns_activations:
            return ElasticStep(bits=int(self.activation_bits), signed=False)
        clip = self.quantisation.clip_value
        clip = clip if clip is not None and clip < 1 else None  # no probability lies beyond 1
        return Symmetric(bits=int(self.activation_bits), blocks=self._activation_blocks, clip_value=clip, signed=False)

    def post_activation_quantiser(self) -> Quantiser | None:
        """The quantiser of what follows an activation function."""
        if self.quantisation.post_activation == "symmetric" or self.activation_bits == NOT_QUANTISED:
            return self.activation_quantiser()
        if self._learns_activations:
            return ElasticStep(bits=int(self.activation_bits), signed=False)
        clip = self.quantisation.clip_value
        return Asymmetric(bits=int(self.activation_bits), blocks=self._activation_blocks, clip_value=clip)

    @property
    def _learns_activations(self) -> bool:
        return self.quantisation.activation_granularity == "learned"

    @property
    def _activation_blocks(self) -> Blocks:
        return ROW if self.quantisation.activation_granularity == "per_token" else TENSOR

    def _quantiser(self, names: QuantisersConfig, granularity: str, bits: float) -> Quantiser:
        blocks, clip = blocks_of(granularity), self.quantisation.clip_value
        published, whole = self.quantisation.as_published, int(bits)
        make: dict[str, Callable[[], Quantiser]] = {
            "symmetric": lambda: Symmetric(bits=whole, blocks=blocks, clip_value=clip, as_published=published),
            "asymmetric": lambda: Asymmetric(bits=whole, blocks=blocks, clip_value=clip),
            "twn": lambda: Ternary(bits=bits, blocks=blocks, clip_value=clip, as_published=published),
            "elastic": lambda: Elastic(bits=bits, blocks=blocks),
            "lsq": lambda: LearnedStep(bits=whole, blocks=blocks),
            "seq": lambda: StretchedElastic(bits=bits, blocks=blocks),
            "anchored": lambda: AnchoredClip(bits=bits, blocks=blocks),
        }
        return make[names.at(bits)]()


def scheme_of(name: str, quantisation: QuantisationConfig) -> Scheme:
    """The scheme `W-E-A` under a recipe's quantiser settings. A scheme of 32-32-32 quantises nothing at all.

    Raises:
        UserError: as `check_settings` says.
    """
    check_settings(name, quantisation)
    weights, embeddings, activations = bits_of(name)
    plain = is_plain(name)
    positions = NOT_QUANTISED if plain else quantisation.position_bits
    return Scheme(
        weight_bits=weights,
        embedding_bits=embeddings,
        activation_bits=activations,
        position_bits=positions,
        quantisation=QuantisationConfig() if plain else quantisation,
    )
