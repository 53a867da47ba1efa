"""What a graph must know of a family beside where its linear layers lie."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.config.errors import UserError
from pipeline.models.families import family_of

if TYPE_CHECKING:
    from transformers import PretrainedConfig


@dataclass(frozen=True, kw_only=True)
class StackLayout:
    """An encoder or a decoder.

    Args:
        tokens: its token table.
        positions: its position table, learned or computed; none for relative positions.
        first_position: row of the table for the first token.
        counts_tokens: positions are counted over tokens that are no padding (RoBERTa).
        token_types: table that tells the texts of a pair apart.
        reads_types: whether the tokenizer does tell them apart; else all are of the first type.
        embedding_norm: norm of the embeddings.
        self_norm: norm of self-attention, from the layer; likewise the next two.
        cross_norm: norm of attention to the encoder.
        feed_forward_norm: norm of the feed-forward part.
        up: linears into the feed-forward part; of two, the first is the gate.
        function: its activation function.
        down: the linear out of it.
        final_norm: norm of what the stack returns.
        norm_first: norms stand before each part, else behind its residual sum.
        relative: attention module with the table of relative positions.
    """

    tokens: str
    positions: str | None = None
    first_position: int = 0
    counts_tokens: bool = False
    token_types: str | None = None
    reads_types: bool = True
    embedding_norm: str | None = None
    self_norm: str
    cross_norm: str = ""
    feed_forward_norm: str
    up: tuple[str, ...]
    function: str
    down: str
    final_norm: str | None = None
    norm_first: bool = False
    relative: str | None = None


@dataclass(frozen=True, kw_only=True)
class Layout:
    """A whole model.

    Args:
        encoder: the encoder.
        decoder: the decoder; none of a classifier.
        logits_bias: added to the logits.
        embedding_scale: factor of token embeddings.
        head_scale: factor of what the output projection reads.
        classifier: the two linears of a classifier's head.
        attention_scale: factor of queries; none: one over the root of a head's width.
    """

    encoder: StackLayout
    decoder: StackLayout | None = None
    logits_bias: str | None = None
    embedding_scale: float = 1.0
    head_scale: float = 1.0
    classifier: tuple[str, str] | None = None
    attention_scale: float | None = None


def _bart_like(config: PretrainedConfig, offset: int, norm_first: bool, embedding_norm: bool) -> Layout:
    tables = family_of(config).token_tables(config)

    def stack(name: str) -> StackLayout:
        return StackLayout(
            tokens=tables[f"model.{name}.embed_tokens"],
            positions=f"model.{name}.embed_positions",
            first_position=offset,
            embedding_norm=f"model.{name}.layernorm_embedding" if embedding_norm else None,
            self_norm="self_attn_layer_norm",
            cross_norm="encoder_attn_layer_norm",
            feed_forward_norm="final_layer_norm",
            up=("fc1",),
            function="activation_fn",
            down="fc2",
            final_norm=f"model.{name}.layer_norm" if norm_first else None,
            norm_first=norm_first,
        )

    return Layout(
        encoder=stack("encoder"),
        decoder=stack("decoder"),
        logits_bias="final_logits_bias",
        embedding_scale=config.d_model**0.5 if config.scale_embedding else 1.0,
    )


def _t5(config: PretrainedConfig) -> Layout:
    tables = family_of(config).token_tables(config)

    def stack(name: str, feed_forward: int) -> StackLayout:
        gated, dense = config.is_gated_act, f"layer.{feed_forward}.DenseReluDense"
        return StackLayout(
            tokens=tables[f"{name}.embed_tokens"],
            self_norm="layer.0.layer_norm",
            cross_norm="layer.1.layer_norm",
            feed_forward_norm=f"layer.{feed_forward}.layer_norm",
            up=(f"{dense}.wi_0", f"{dense}.wi_1") if gated else (f"{dense}.wi",),
            function=f"{dense}.act",
            down=f"{dense}.wo",
            final_norm=f"{name}.final_layer_norm",
            norm_first=True,
            relative=f"{name}.block.0.layer.0.SelfAttention",
        )

    scaled = getattr(config, "scale_decoder_outputs", False)  # T5's first version; T5 1.1 and MT5 do not
    scale = config.d_model**-0.5 if scaled else 1.0
    return Layout(encoder=stack("encoder", 1), decoder=stack("decoder", 2), head_scale=scale, attention_scale=1.0)


def _bert_like(name: str, first_position: int, classifier: tuple[str, str]) -> Layout:
    return Layout(
        encoder=StackLayout(
            tokens=f"{name}.embeddings.word_embeddings",
            positions=f"{name}.embeddings.position_embeddings",
            first_position=first_position,
            counts_tokens=first_position > 0,
            token_types=f"{name}.embeddings.token_type_embeddings",
            embedding_norm=f"{name}.embeddings.LayerNorm",
            self_norm="attention.output.LayerNorm",
            feed_forward_norm="output.LayerNorm",
            up=("intermediate.dense",),
            function="intermediate.intermediate_act_fn",
            down="output.dense",
        ),
        classifier=classifier,
    )


LAYOUTS: dict[str, Callable[[PretrainedConfig], Layout]] = {
    "bart": lambda config: _bart_like(config, 2, norm_first=False, embedding_norm=True),
    "mbart": lambda config: _bart_like(config, 2, norm_first=True, embedding_norm=True),
    "marian": lambda config: _bart_like(config, 0, norm_first=False, embedding_norm=False),
    "pegasus": lambda config: _bart_like(config, 0, norm_first=True, embedding_norm=False),
    "t5": _t5,
    "mt5": _t5,
    "bert": lambda _: _bert_like("bert", 0, ("bert.pooler.dense", "classifier")),
    "roberta": lambda config: _bert_like(
        "roberta", config.pad_token_id + 1, ("classifier.dense", "classifier.out_proj")
    ),
}


def layout_of(config: PretrainedConfig) -> Layout:
    """The layout of a model's configuration.

    Raises:
        UserError: a family without one.
    """
    if config.model_type not in LAYOUTS:
        raise UserError(f"export of the family {config.model_type}", ", ".join(sorted(LAYOUTS)), "use torch")
    return LAYOUTS[config.model_type](config)
