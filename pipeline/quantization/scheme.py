"""A scheme: bits `W-E-A` under a recipe's quantizer settings, and the quantizer of every kind of tensor."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from pipeline.config.sections.recipe import QuantizationConfig, QuantizersConfig
from pipeline.quantization.blocks import ROW, TENSOR, Blocks, blocks_of
from pipeline.quantization.learned import AnchoredClip, ElasticStep, LearnedStep, StretchedElastic
from pipeline.quantization.quantizers import Asymmetric, Elastic, Quantizer, Symmetric, Ternary
from pipeline.quantization.settings import NOT_QUANTIZED as NOT_QUANTIZED  # whoever knows schemes knows them, too
from pipeline.quantization.settings import bits_of, check_settings, is_plain
from pipeline.quantization.settings import patterns_of as patterns_of


@dataclass(frozen=True, kw_only=True)
class Scheme:
    """What is quantized how; 32 bits is not quantized. Written `W-E-A`."""

    weight_bits: float
    embedding_bits: float
    activation_bits: float
    position_bits: float
    quantization: QuantizationConfig

    @property
    def name(self) -> str:
        """`W-E-A`."""
        return f"{self.weight_bits:g}-{self.embedding_bits:g}-{self.activation_bits:g}"

    def bits_of(self, module: str, bits: float) -> float:
        """The bits of one module: those of its kind, unless a pattern of the recipe says otherwise."""
        for pattern, special in patterns_of(self.quantization):
            if fnmatchcase(module, pattern):
                bits = special
        return bits

    def weight_quantizer(self, bits: float) -> Quantizer:
        """The quantizer of a linear layer's weight."""
        return self._quantizer(self.quantization.weights, self.quantization.weight_granularity, bits)

    def embedding_quantizer(self, bits: float) -> Quantizer:
        """The quantizer of an embedding table."""
        return self._quantizer(self.quantization.embeddings, self.quantization.embedding_granularity, bits)

    def activation_quantizer(self) -> Quantizer | None:
        """The quantizer of what enters linear layers, and of queries, keys and values."""
        if self.activation_bits == NOT_QUANTIZED:
            return None
        if self.learns_activations:
            return ElasticStep(bits=int(self.activation_bits))
        return Symmetric(
            bits=int(self.activation_bits),
            blocks=self._activation_blocks,
            clip_value=self.quantization.clip_value,
            as_published=self.quantization.as_published,
        )

    def probability_quantizer(self) -> Quantizer | None:
        """The quantizer of attention probabilities."""
        if self.quantization.probabilities == "signed" or self.activation_bits == NOT_QUANTIZED:
            return self.activation_quantizer()
        if self.learns_activations:
            return ElasticStep(bits=int(self.activation_bits), signed=False)
        clip = self.quantization.clip_value
        clip = clip if clip is not None and clip < 1 else None  # no probability lies beyond 1
        return Symmetric(bits=int(self.activation_bits), blocks=self._activation_blocks, clip_value=clip, signed=False)

    def post_activation_quantizer(self) -> Quantizer | None:
        """The quantizer of what follows an activation function."""
        if self.quantization.post_activation == "symmetric" or self.activation_bits == NOT_QUANTIZED:
            return self.activation_quantizer()
        if self.learns_activations:
            return ElasticStep(bits=int(self.activation_bits), signed=False)
        clip = self.quantization.clip_value
        return Asymmetric(bits=int(self.activation_bits), blocks=self._activation_blocks, clip_value=clip)

    @property
    def learns_activations(self) -> bool:
        """Whether scales of activations are parameters, which a batch must calibrate."""
        return self.quantization.activation_granularity == "learned"

    @property
    def _activation_blocks(self) -> Blocks:
        return ROW if self.quantization.activation_granularity == "per_token" else TENSOR

    def _quantizer(self, names: QuantizersConfig, granularity: str, bits: float) -> Quantizer:
        blocks, clip = blocks_of(granularity), self.quantization.clip_value
        published, whole = self.quantization.as_published, int(bits)
        make: dict[str, Callable[[], Quantizer]] = {
            "symmetric": lambda: Symmetric(bits=whole, blocks=blocks, clip_value=clip, as_published=published),
            "asymmetric": lambda: Asymmetric(bits=whole, blocks=blocks, clip_value=clip),
            "twn": lambda: Ternary(bits=bits, blocks=blocks, clip_value=clip, as_published=published),
            "elastic": lambda: Elastic(bits=bits, blocks=blocks),
            "lsq": lambda: LearnedStep(bits=whole, blocks=blocks),
            "seq": lambda: StretchedElastic(bits=bits, blocks=blocks),
            "anchored": lambda: AnchoredClip(bits=bits, blocks=blocks),
        }
        return make[names.at(bits)]()


def scheme_of(name: str, quantization: QuantizationConfig) -> Scheme:
    """The scheme `W-E-A` under a recipe's quantizer settings. A scheme of 32-32-32 quantizes nothing at all.

    Raises:
        UserError: as `check_settings` says.
    """
    check_settings(name, quantization)
    weights, embeddings, activations = bits_of(name)
    plain = is_plain(name)
    positions = NOT_QUANTIZED if plain else quantization.position_bits
    return Scheme(
        weight_bits=weights,
        embedding_bits=embeddings,
        activation_bits=activations,
        position_bits=positions,
        quantization=QuantizationConfig() if plain else quantization,
    )
