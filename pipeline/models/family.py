"""What a model family must say of itself so that its models can be quantized, cut and packed."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from torch import nn
from transformers import PretrainedConfig, PreTrainedModel

from pipeline.config.errors import UserError
from pipeline.config.objectives import ModelKind
from pipeline.config.sections.model import ArchitectureConfig
from pipeline.data.numbered_tokens import TokenNumbers
from pipeline.quantization.prepare import AttentionSite, Sites

# Our own entry of a configuration: which users of token matrices share one, where it is not as usual.
TABLES = "token_matrices"


@dataclass(frozen=True, kw_only=True)
class LayerList:
    """A stack of layers: where it lies in the model, and which setting counts its layers."""

    prefix: str  # e.g. model.encoder.layers
    setting: str  # e.g. encoder_layers


@dataclass(frozen=True, kw_only=True)
class Family:
    """The adapter of one model family.

    Args:
        name: `model_type` of its configurations.
        kind: of its models.
        model_class: the class that is trained and packed.
        attention_class: its attention module.
        linears: name of the attention's query, key, value and output linears, from the attention module; `..` is its
            parent.
        encoder: the encoder's layers.
        decoder: the decoder's layers; none for encoders alone.
        post_activations: pattern of the names of linears that follow an activation function.
        embeddings: users of the token embedding, its first name first.
        positions: learned position tables; computed ones are not listed.
        computed: tensors that the architecture computes: neither trained nor stored.
        lm_head: the output projection; none without one.
        splits_vocabulary: whether a configuration may ask for a vocabulary of sources and another of targets.
        head: beginnings of the names of the head that an encoder may lack: the head itself, then what goes with it.
        start: the setting of the token that decoding starts with where a configuration names none, as the family
            documents it; none where it depends on the language.
        first_layer_only: parts of parameter names that only the first layer of a stack has; they stay with it.
        dropout: the setting of the residual dropout.
        num_positions: the longest sequence in tokens, or none without a limit, of a configuration.
        from_scratch: the configuration of a model with random weights, for an architecture and a tokenizer.
        other_kinds: adapters of the same family's models of other kinds.
    """

    name: str
    kind: ModelKind = "seq2seq"
    model_class: type[PreTrainedModel]
    attention_class: type[nn.Module]
    linears: tuple[str, str, str, str]
    encoder: LayerList
    decoder: LayerList | None
    post_activations: str
    embeddings: tuple[str, ...]
    positions: tuple[str, ...] = ()
    computed: tuple[str, ...] = ()
    lm_head: str | None = "lm_head"
    splits_vocabulary: bool = False
    head: tuple[str, ...] = ()
    start: str | None = None
    first_layer_only: tuple[str, ...] = ()
    dropout: str = "dropout"
    num_positions: Callable[[PretrainedConfig], int | None] = lambda config: int(config.max_position_embeddings)
    from_scratch: Callable[[ArchitectureConfig, TokenNumbers], PretrainedConfig]
    other_kinds: tuple[Family, ...] = ()

    @property
    def stacks(self) -> tuple[LayerList, ...]:
        """Encoder, then decoder if there is one."""
        return (self.encoder,) if self.decoder is None else (self.encoder, self.decoder)

    def num_layers(self, model_config: PretrainedConfig) -> tuple[int, int]:
        """(encoder, decoder) layers of a configuration; no decoder counts 0."""
        return getattr(model_config, self.encoder.setting), getattr(
            model_config, self.decoder.setting
        ) if self.decoder else 0

    def has_one_vocabulary(self, model_config: PretrainedConfig) -> bool:
        """Whether sources and targets share theirs; what other families' configurations say of it is read by nobody."""
        return not self.splits_vocabulary or bool(model_config.share_encoder_decoder_embeddings)

    def token_tables(self, model_config: PretrainedConfig) -> dict[str, str]:
        """Every user of a token matrix -> the first user of the same matrix, in a model of a configuration."""
        usual, said = (
            self.usual_tables(model_config),
            getattr(model_config, TABLES, None) or {},
        )  # a saved one is sorted by name
        return {user: said.get(user, first) for user, first in usual.items()}

    def usual_tables(self, model_config: PretrainedConfig) -> dict[str, str]:
        """`token_tables` as transformers makes them: one matrix for the embeddings and the output projection."""
        users = [*self.embeddings, *([self.lm_head] if self.lm_head else [])]
        if self.has_one_vocabulary(model_config):
            return dict.fromkeys(users, users[0])
        _, encoder, decoder, head = users  # Marian's models without a common table: the head shares the decoder's
        return {encoder: encoder, decoder: decoder, head: decoder}

    def sites(self, model: nn.Module) -> Sites:
        """Where a model of the family can be quantized."""
        inside = tuple(f"{stack.prefix}." for stack in self.stacks)
        modules = dict(model.named_modules(remove_duplicate=False))
        linears = tuple(n for n, m in modules.items() if isinstance(m, nn.Linear) and n.startswith(inside))
        names = [name for name, module in modules.items() if isinstance(module, self.attention_class)]
        return Sites(
            linears=linears,
            post_activations=tuple(name for name in linears if re.search(self.post_activations, name)),
            embeddings=tuple(name for name in self.embeddings if name in modules),
            positions=self.positions,
            lm_head=self.lm_head,
            matrix_of=self.token_tables(model.config),
            attentions=tuple(self._attention_site(name, names) for name in names),
        )

    def _attention_site(self, module: str, attentions: list[str]) -> AttentionSite:
        stack = next(stack for stack in self.stacks if module.startswith(f"{stack.prefix}."))
        layer = module.removeprefix(f"{stack.prefix}.").partition(".")[0]
        # A decoder layer attends to itself first, then to the encoder.
        first = next(name for name in attentions if name.startswith(f"{stack.prefix}.{layer}."))
        kind = "encoder" if stack is self.encoder else "decoder" if module == first else "cross"
        parent = module.rpartition(".")[0]
        names = [f"{parent}.{name[2:]}" if name.startswith("..") else f"{module}.{name}" for name in self.linears]
        roles = ("query", "key", "value", "output")
        linears = dict(zip(roles, names, strict=True))
        return AttentionSite(kind=kind, layer=int(layer), module=module, **linears)


def check_heads(shape: ArchitectureConfig) -> None:
    """Refuse a width that heads do not divide.

    Raises:
        UserError: as said.
    """
    if shape.d_model % shape.num_heads:
        raise UserError(
            f"d_model {shape.d_model} is not divisible by {shape.num_heads} heads",
            "a multiple of the number of heads",
            "set model.architecture.d_model or num_heads",
        )
