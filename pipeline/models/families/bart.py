"""BART: learned positions, layer norms after the residual, biases everywhere."""

from __future__ import annotations

from typing import Any

from transformers import BartConfig, BartForConditionalGeneration
from transformers.models.bart.modeling_bart import BartAttention

from pipeline.config.sections.model import ArchitectureConfig
from pipeline.data.numbered_tokens import TokenNumbers
from pipeline.models.family import Family, LayerList, check_heads


def settings_from_scratch(
    shape: ArchitectureConfig, tokenizer: TokenNumbers, starts_with_padding: bool = False
) -> dict[str, Any]:
    """Settings that BART, mBART, Marian and Pegasus share; decoding starts with the end or the padding token."""
    check_heads(shape)
    return {
        "vocab_size": len(tokenizer),
        "d_model": shape.d_model,
        "encoder_ffn_dim": shape.ffn_dim,
        "decoder_ffn_dim": shape.ffn_dim,
        "encoder_layers": shape.encoder_layers,
        "decoder_layers": shape.decoder_layers,
        "encoder_attention_heads": shape.num_heads,
        "decoder_attention_heads": shape.num_heads,
        "max_position_embeddings": shape.max_positions,
        "init_std": shape.init_std,
        "bos_token_id": tokenizer.bos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "decoder_start_token_id": tokenizer.pad_token_id if starts_with_padding else tokenizer.eos_token_id,
        "forced_eos_token_id": tokenizer.eos_token_id,
    }


BART_LAYOUT: dict[str, Any] = {
    "linears": ("q_proj", "k_proj", "v_proj", "out_proj"),
    "encoder": LayerList(prefix="model.encoder.layers", setting="encoder_layers"),
    "decoder": LayerList(prefix="model.decoder.layers", setting="decoder_layers"),
    "post_activations": r"\.fc2$",
    "embeddings": ("model.shared", "model.encoder.embed_tokens", "model.decoder.embed_tokens"),
}
POSITIONS = ("model.encoder.embed_positions", "model.decoder.embed_positions")

FAMILY = Family(
    name="bart",
    model_class=BartForConditionalGeneration,
    attention_class=BartAttention,
    positions=POSITIONS,
    start="eos_token_id",
    from_scratch=lambda shape, tokenizer: BartConfig(**settings_from_scratch(shape, tokenizer)),
    **BART_LAYOUT,
)
