"""T5: relative positions kept by the first layer of each stack, RMS norms before the residual, no biases."""

from __future__ import annotations

from typing import Any

from transformers import T5Config, T5ForConditionalGeneration
from transformers.models.t5.modeling_t5 import T5Attention

from pipeline.config.sections.model import ArchitectureConfig
from pipeline.data.numbered_tokens import TokenNumbers
from pipeline.models.family import Family, LayerList, check_heads


def settings_from_scratch(shape: ArchitectureConfig, tokenizer: TokenNumbers) -> dict[str, Any]:
    """Settings that T5 and MT5 share; both scale random weights by themselves."""
    check_heads(shape)
    return {
        "vocab_size": len(tokenizer),
        "d_model": shape.d_model,
        "d_ff": shape.ffn_dim,
        "d_kv": shape.d_model // shape.num_heads,
        "num_heads": shape.num_heads,
        "num_layers": shape.encoder_layers,
        "num_decoder_layers": shape.decoder_layers,
        "bos_token_id": tokenizer.bos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "decoder_start_token_id": tokenizer.pad_token_id,
    }


FAMILY = Family(
    name="t5",
    model_class=T5ForConditionalGeneration,
    attention_class=T5Attention,
    linears=("q", "k", "v", "o"),
    encoder=LayerList(prefix="encoder.block", setting="num_layers"),
    decoder=LayerList(prefix="decoder.block", setting="num_decoder_layers"),
    post_activations=r"\.wo$",
    embeddings=("shared", "encoder.embed_tokens", "decoder.embed_tokens"),
    first_layer_only=("relative_attention_bias",),
    dropout="dropout_rate",
    num_positions=lambda _: None,
    start="pad_token_id",
    from_scratch=lambda shape, tokenizer: T5Config(**settings_from_scratch(shape, tokenizer)),
)
