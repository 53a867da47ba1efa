"""Settings of recipes: quantizers, losses, what happens before and during training."""

from __future__ import annotations

from dataclasses import dataclass, fields

from pipeline.config.errors import Mistakes, UserError
from pipeline.config.option import check_relations, option, relation

WEIGHT_BITS = (1, 1.58, 2, 3, 4, 8, 32)  # 1.58: ternary, stored five to a byte
ACTIVATION_BITS = (2, 4, 8, 32)
GRANULARITIES = ("per_row", "per_tensor", "group_32", "group_64", "group_128")

_TERNARY = ("twn", "elastic", "seq", "anchored")
_UNIFORM = ("symmetric", "asymmetric", "lsq", "anchored")


@dataclass(frozen=True, kw_only=True)
class QuantizersConfig:
    """Which quantizer a matrix gets at each number of bits; pipeline/quantization/README.md explains them."""

    one_bit: str = option("elastic", "at 1 bit", allowed=("elastic",))
    ternary: str = option("twn", "at 1.58 bits", allowed=_TERNARY)
    two_bit: str = option(
        "twn", "at 2 bits; twn, elastic and anchored use three levels", allowed=(*_TERNARY, "asymmetric", "lsq")
    )
    three_bit: str = option("symmetric", "at 3 bits", allowed=_UNIFORM)
    four_bit: str = option("symmetric", "at 4 bits", allowed=_UNIFORM)
    eight_bit: str = option("symmetric", "at 8 bits", allowed=_UNIFORM)

    def at(self, bits: float) -> str:
        """The quantizer's name at a number of bits below 32."""
        names = {1: self.one_bit, 1.58: self.ternary, 2: self.two_bit}
        return (names | {3: self.three_bit, 4: self.four_bit, 8: self.eight_bit})[bits]


@dataclass(frozen=True, kw_only=True)
class QuantizationConfig:
    """How students are quantized; bits come from each student's scheme W-E-A."""

    weights: QuantizersConfig = option(QuantizersConfig, "quantizers of linear layers")
    embeddings: QuantizersConfig = option(QuantizersConfig, "quantizers of token and position embeddings")
    weight_granularity: str = option("per_row", "which weights of a linear layer share a scale", allowed=GRANULARITIES)
    embedding_granularity: str = option(
        "per_row", "which values of an embedding table share a scale", allowed=GRANULARITIES
    )
    activation_granularity: str = option(
        "per_token",
        "one scale per token or per tensor, taken from the values; learned: one per tensor, trained (for 2 and 4 bits)",
        allowed=("per_token", "per_tensor", "learned"),
    )
    clip_value: float | None = option(
        None, "clip activations and weights (twn, symmetric, asymmetric) to +-this before quantizing", minimum=0.01
    )
    attention: bool = option(True, "quantize q, k, v and attention probabilities to the activation bits")
    probabilities: str = option(
        "unsigned", "grid of attention probabilities; signed leaves half of it unused", allowed=("unsigned", "signed")
    )
    post_activation: str = option(
        "symmetric",
        "grid of what follows GELU or ReLU; learned scales: signed or from 0 up",
        allowed=("symmetric", "asymmetric"),
    )
    lm_head: bool = option(
        True, "the output projection is quantized: by the embedding's codes if tied, else by its own"
    )
    position_bits: float = option(8, "bits of learned position embeddings", allowed=WEIGHT_BITS)
    bits: list[str] = option(
        list, "bits of single modules by name pattern, e.g. ['model.encoder.layers.0.*=8']; the last match counts"
    )
    as_published: bool = option(
        False,
        "DQ-BART's arithmetic to the last rounding (twn and symmetric only): scales keep all bits, biases are added to "
        "rounded products, no gradient at the clip itself, attention probabilities dropped before they are quantized",
    )


_LOSSES: tuple[str, ...] = ("task", "logits", "encoder_attention", "decoder_attention", "cross_attention")
_LOSSES += ("encoder_hidden", "decoder_hidden", "encoder_relations", "decoder_relations", "contrastive")
_OF_ATTENTION = ("encoder_attention", "decoder_attention", "cross_attention")
_OF_HIDDEN = ("encoder_hidden", "decoder_hidden", "contrastive")
# What an encoder alone does not have.
DECODER_TERMS = ("decoder_attention", "cross_attention", "decoder_hidden", "decoder_relations", "contrastive")
# What compares layers, which models of other shapes do not have.
LAYER_TERMS = ("encoder_attention", "encoder_hidden", "encoder_relations", *DECODER_TERMS)
# What DQ-BART's loss does not know: with reduction=tensor each keeps its default (logits_kind is mse there).
_TOKEN_ONLY: tuple[str, ...] = ("logits_kind", "attention_kind", "hidden_kind", "encoder_relations")
_TOKEN_ONLY += ("decoder_relations", "relation_heads", "encoder_relation_layer", "decoder_relation_layer")
_TOKEN_ONLY += ("contrastive", "contrastive_temperature")


@dataclass(frozen=True, kw_only=True)
class DistillationConfig:
    """Weights of the training losses, 0 switches a term off; and what each of them compares."""

    reduction: str = option(
        "token",
        "token: masked, divided by token counts, averaged over layers; tensor: plain means over padded tensors, "
        "summed over layers (DQ-BART)",
        allowed=("token", "tensor"),
    )
    task: float = option(1.0, "cross-entropy with the reference", minimum=0.0)
    logits: float = option(1.0, "distance of the logits to the teacher's", minimum=0.0)
    logits_kind: str = option("kl", "kl: KL divergence at the temperature; mse: squared error", allowed=("kl", "mse"))
    temperature: float = option(1.0, "temperature of the KL divergence", minimum=0.01)
    encoder_attention: float = option(1.0, "distance of encoder attention probabilities", minimum=0.0)
    decoder_attention: float = option(1.0, "distance of decoder self-attention probabilities", minimum=0.0)
    cross_attention: float = option(1.0, "distance of cross-attention probabilities", minimum=0.0)
    attention_kind: str = option(
        "mse", "attention probabilities: mse: squared error; kl: KL divergence", allowed=("mse", "kl")
    )
    encoder_hidden: float = option(1.0, "distance of encoder hidden states", minimum=0.0)
    decoder_hidden: float = option(1.0, "distance of decoder hidden states", minimum=0.0)
    hidden_kind: str = option(
        "mse",
        "hidden states: mse: squared error; normalised: squared error after normalising both over their width",
        allowed=("mse", "normalised"),
    )
    encoder_relations: float = option(
        0.0, "KL divergence of encoder self-attention relations: q-q, k-k, v-v of one layer (MiniLMv2)", minimum=0.0
    )
    decoder_relations: float = option(0.0, "the same of decoder self-attention", minimum=0.0)
    relation_heads: int | None = option(
        None, "heads that q, k, v are cut into for relations; none: the teacher's attention heads", minimum=1
    )
    encoder_relation_layer: int | None = option(
        None, "teacher layer of encoder_relations, from 0; none: the last. The student's is its last", minimum=0
    )
    decoder_relation_layer: int | None = option(
        None, "teacher layer of decoder_relations, from 0; none: the last. The student's is its last", minimum=0
    )
    contrastive: float = option(
        0.0, "last decoder states: tell the teacher's state of the token from those of other tokens", minimum=0.0
    )
    contrastive_temperature: float = option(0.1, "temperature of the contrastive term's similarities", minimum=0.01)

    def __post_init__(self) -> None:
        check_relations(self)

    @property
    def compares_attention(self) -> bool:
        """Whether attention maps of both models are needed."""
        return self.reduction == "tensor" or any(getattr(self, name) > 0 for name in _OF_ATTENTION)

    @property
    def compares_hidden(self) -> bool:
        """Whether hidden states of both models are needed."""
        return self.reduction == "tensor" or any(getattr(self, name) > 0 for name in _OF_HIDDEN)

    @relation(*_LOSSES)
    def _something_is_learned(self) -> None:
        if not any(getattr(self, name) for name in _LOSSES):
            raise UserError(
                "recipe.distillation with every weight 0", "one weight above 0", "set ...distillation.task=1"
            )

    @relation("reduction", *_TOKEN_ONLY)
    def _published_loss_takes_no_later_term(self) -> None:
        if self.reduction != "tensor":
            return
        published = {setting.name: setting.default for setting in fields(self)} | {"logits_kind": "mse"}
        mistakes = Mistakes()
        for name in _TOKEN_ONLY:
            given, allowed = getattr(self, name), published[name]
            if given != allowed:
                shown = "null" if allowed is None else allowed
                error = UserError(
                    f"recipe.distillation.{name}={given} with reduction=tensor",
                    f"{shown}, as published",
                    f"set recipe.distillation.{name}={shown} or reduction=token",
                )
                mistakes.add(error)
        mistakes.tell()


@dataclass(frozen=True, kw_only=True)
class SequenceConfig:
    """Sequence-level distillation (Kim & Rush 2016): the teacher's beam search writes training targets."""

    kind: str = option(
        "none",
        "none: references; pure: the teacher's best text; interpolated: the one of its beams nearest to the reference; "
        "filtered: its best text where that is near enough to the reference, which is kept elsewhere",
        allowed=("none", "pure", "interpolated", "filtered"),
    )
    num_beams: int = option(4, "beam width of the teacher", minimum=1, maximum=64)
    min_similarity: float = option(
        10.0,
        "filtered: least likeness of a kept text to the reference, in percent: ROUGE-2, or chrF where task.metric=bleu",
        minimum=0.0,
        maximum=100.0,
    )


@dataclass(frozen=True, kw_only=True)
class PruningConfig:
    """How the heads are chosen that a student with `heads` below 1 keeps; the others are really removed."""

    method: str = option(
        "importance",
        "importance: first-order, before training (Michel et al. 2019); gates: hard-concrete gates trained with the "
        "student's own losses in full precision first (Voita et al. 2019)",
        allowed=("importance", "gates"),
    )
    num_examples: int = option(
        512, "importance: about so many training examples are looked at, by the first worker", minimum=1
    )
    num_steps: int = option(200, "gates: optimiser steps that gates and weights are trained for", minimum=1)
    penalty: float = option(0.5, "gates: weight of the expected part of open gates", minimum=0.0)
    pace: float = option(50.0, "gates: how much faster than weights they move", minimum=1.0)


@dataclass(frozen=True, kw_only=True)
class DqbartConfig:
    """What only the published method knows."""

    as_released: bool = option(
        False,
        "with reduction=tensor: adds the loss term that the released code computes by mistake (squared error of the "
        "encoder's last state, summed over the examples of a micro-batch), and switches nothing else",
    )


@dataclass(frozen=True, kw_only=True)
class RecipeConfig:
    """One name for quantizer settings and losses."""

    name: str = option("best", "name of the recipe; the file conf/recipe/<name>.yaml")
    quantization: QuantizationConfig = option(QuantizationConfig, "quantizer settings", formerly="quantisation")
    schedule: list[str] = option(
        list,
        "schemes on the way to the student's own, each until a part of the steps (below 1) or a step, e.g. "
        "['0.3=32-32-32', '0.5=8-8-8']: full precision, then 8 bits, then the student's scheme",
    )
    pruning: PruningConfig = option(PruningConfig, "how heads are chosen for removal")
    sequence: SequenceConfig = option(SequenceConfig, "texts of the teacher as targets")
    distillation: DistillationConfig = option(DistillationConfig, "loss weights")
    dqbart: DqbartConfig = option(DqbartConfig, "settings of the published method")

    def __post_init__(self) -> None:
        check_relations(self)

    @relation("dqbart", "distillation")
    def _released_defect_is_of_the_published_loss(self) -> None:
        if self.dqbart.as_released and self.distillation.reduction != "tensor":
            raise UserError(
                "recipe.dqbart.as_released=true with recipe.distillation.reduction=token",
                "as_released goes with reduction=tensor",
                "set recipe=dqbart, or recipe.dqbart.as_released=false",
            )
