"""A scheme: bits `W-E-A` under a recipe's quantiser settings, and the quantiser of every kind of tensor."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from pipeline.config.errors import UserError
from pipeline.config.recipe import WEIGHT_BITS, QuantisationConfig, QuantisersConfig
from pipeline.config.sweep import SCHEME_PATTERN
from pipeline.quantization.blocks import ROW, TENSOR, Blocks, blocks_of
from pipeline.quantization.learned import AnchoredClip, ElasticStep, LearnedStep, StretchedElastic
from pipeline.quantization.quantisers import Asymmetric, Elastic, Quantiser, Symmetric, Ternary

NOT_QUANTISED = 32


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
        UserError: settings that would be ignored, or bits that a module cannot have.
    """
    match = SCHEME_PATTERN.match(name)
    assert match is not None, name  # the schema has checked it
    weights, embeddings, activations = (float(bits) for bits in match.groups())
    plain = (weights, embeddings, activations) == (NOT_QUANTISED,) * 3
    positions = NOT_QUANTISED if plain else quantisation.position_bits
    if not plain:
        _check_used(quantisation, weights, embeddings, positions)
    return Scheme(
        weight_bits=weights,
        embedding_bits=embeddings,
        activation_bits=activations,
        position_bits=positions,
        quantisation=QuantisationConfig() if plain else quantisation,
    )


def _check_used(quantisation: QuantisationConfig, weights: float, embeddings: float, positions: float) -> None:
    """Refuse a clip or published arithmetic for quantisers that know neither."""
    bits = {bits for _, bits in patterns_of(quantisation)}
    used = {quantisation.weights.at(b) for b in {weights, *bits} - {NOT_QUANTISED}}
    used |= {quantisation.embeddings.at(b) for b in {embeddings, positions, *bits} - {NOT_QUANTISED}}
    if quantisation.activation_granularity == "learned":
        used |= {"elastic"}
    if quantisation.clip_value is not None and (deaf := used - {"symmetric", "asymmetric", "twn"}):
        raise UserError(
            f"recipe.quantisation.clip_value={quantisation.clip_value} with the quantiser '{min(deaf)}'",
            "a clip goes with twn, symmetric and asymmetric",
            "set recipe.quantisation.clip_value=null, or another quantiser",
        )
    if quantisation.as_published:
        published = {"probabilities": "signed", "post_activation": "symmetric"}
        odd = [f"{name}={value}" for name in published if (value := getattr(quantisation, name)) != published[name]]
        odd += sorted(f"the quantiser {name}" for name in used - {"symmetric", "twn"})
        granularities = (quantisation.weight_granularity, quantisation.embedding_granularity)
        odd += [name for name in granularities if name.startswith("group")]
        if odd:
            raise UserError(
                f"recipe.quantisation.as_published with {odd[0]}",
                "twn and symmetric, signed probabilities, a scale per row or tensor",
                "set recipe.quantisation.as_published=false, or what it goes with",
            )


def patterns_of(quantisation: QuantisationConfig) -> list[tuple[str, float]]:
    """The settings `bits` as (pattern, bits).

    Raises:
        UserError: an entry that is not `pattern=bits`, or bits that a weight cannot have.
    """
    patterns = []
    for entry in quantisation.bits:
        pattern, _, number = entry.rpartition("=")
        if not pattern or number not in {f"{bits:g}" for bits in WEIGHT_BITS}:
            raise UserError(
                f"recipe.quantisation.bits entry '{entry}'",
                f"pattern=bits with one of {WEIGHT_BITS}",
                "change recipe.quantisation.bits",
            )
        patterns.append((pattern, float(number)))
    return patterns
