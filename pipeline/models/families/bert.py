"""BERT, a classifier or a masked LM: an encoder alone, learned positions.

Pooler, classifier and the layer between encoder and vocabulary stay in full precision.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import transformers
from transformers import BertConfig, BertForSequenceClassification, PretrainedConfig
from transformers.models.bert.modeling_bert import BertSelfAttention

from pipeline.config.sections.model import ArchitectureConfig
from pipeline.data.numbered_tokens import TokenNumbers
from pipeline.models.family import Family, LayerList, check_heads
from pipeline.models.masked_lm import AtTargets


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
        "kind": "classifier",
        "linears": ("query", "key", "value", "..output.dense"),
        "encoder": LayerList(prefix=f"{prefix}.encoder.layer", setting="num_hidden_layers"),
        "decoder": None,
        "post_activations": r"\.\d+\.output\.dense$",
        "embeddings": (f"{prefix}.embeddings.word_embeddings",),
        "positions": (f"{prefix}.embeddings.position_embeddings",),
        "lm_head": None,
        "dropout": "hidden_dropout_prob",
    }


def with_masked_lm(classifier: Family, model_class: type[AtTargets]) -> Family:
    """A family of classifiers, with its masked LMs; their output projection is the token embedding."""

    def from_scratch(shape: ArchitectureConfig, tokenizer: TokenNumbers) -> PretrainedConfig:
        config = classifier.from_scratch(shape, tokenizer)
        config.architectures = [model_class.__name__]
        return config

    head = model_class.head_name
    masked_lm = replace(
        classifier,
        kind="masked LM",
        model_class=model_class,
        lm_head=f"{head}.decoder",
        head=(f"{head}.",),
        from_scratch=from_scratch,
    )
    return replace(classifier, other_kinds=(masked_lm,))


class BertForMaskedLM(AtTargets, transformers.BertForMaskedLM):  # type: ignore[misc]
    """BERT with logits at targets alone."""

    head_name = "cls.predictions"


FAMILY = with_masked_lm(
    Family(
        name="bert",
        model_class=BertForSequenceClassification,
        attention_class=BertSelfAttention,
        head=("classifier.", "bert.pooler."),
        from_scratch=lambda shape, tokenizer: BertConfig(
            **settings_from_scratch(shape, tokenizer), max_position_embeddings=shape.max_positions
        ),
        **bert_layout("bert"),
    ),
    BertForMaskedLM,
)
