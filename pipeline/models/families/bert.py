"""BERT, a classifier: an encoder alone, learned positions; pooler and classifier stay in full precision."""

from __future__ import annotations

from typing import Any

from transformers import BertConfig, BertForSequenceClassification
from transformers.models.bert.modeling_bert import BertSelfAttention

from pipeline.config.sections.model import ArchitectureConfig
from pipeline.data.numbered_tokens import TokenNumbers
from pipeline.models.family import Family, LayerList, check_heads


def settings_from_scratch(shape: ArchitectureConfig, tokenizer: TokenNumbers) -> dict[str, Any]:
    """Settings that BERT and RoBERTa share."""
    check_heads(shape)
    return {
        "vocab_size": len(tokenizer),
        "hidden_size": shape.d_model,
        "intermediate_size": shape.ffn_dim,
        "num_hidden_layers": shape.encoder_layers,
        "num_attention_heads": shape.num_heads,
        "initializer_range": shape.init_std,
        "bos_token_id": tokenizer.bos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        "eos_token_id": tokenizer.eos_token_id,
    }


def bert_layout(prefix: str) -> dict[str, Any]:
    """What BERT and RoBERTa share below their base model's name."""
    return {
        "linears": ("query", "key", "value", "..output.dense"),
        "encoder": LayerList(prefix=f"{prefix}.encoder.layer", setting="num_hidden_layers"),
        "decoder": None,
        "post_activations": r"\.\d+\.output\.dense$",
        "embeddings": (f"{prefix}.embeddings.word_embeddings",),
        "positions": (f"{prefix}.embeddings.position_embeddings",),
        "lm_head": None,
        "dropout": "hidden_dropout_prob",
    }


FAMILY = Family(
    name="bert",
    model_class=BertForSequenceClassification,
    attention_class=BertSelfAttention,
    head=("classifier.", "bert.pooler."),
    from_scratch=lambda shape, tokenizer: BertConfig(
        **settings_from_scratch(shape, tokenizer), max_position_embeddings=shape.max_positions
    ),
    **bert_layout("bert"),
)
