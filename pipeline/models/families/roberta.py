"""RoBERTa, a classifier or a masked LM: BERT's layout, positions counted from behind the padding token."""

from __future__ import annotations

import transformers
from transformers import RobertaConfig, RobertaForSequenceClassification
from transformers.models.roberta.modeling_roberta import RobertaSelfAttention

from pipeline.config.sections.model import ArchitectureConfig
from pipeline.data.numbered_tokens import TokenNumbers
from pipeline.models.families.bert import bert_layout, settings_from_scratch, with_masked_lm
from pipeline.models.family import Family
from pipeline.models.masked_lm import AtTargets


def from_scratch(shape: ArchitectureConfig, tokenizer: TokenNumbers) -> RobertaConfig:
    """The configuration of a model with random weights."""
    settings = settings_from_scratch(shape, tokenizer)
    assert tokenizer.pad_token_id is not None, "checked before a model is built"
    positions = shape.max_positions + tokenizer.pad_token_id + 1
    return RobertaConfig(**settings, max_position_embeddings=positions, type_vocab_size=1)


class RobertaForMaskedLM(AtTargets, transformers.RobertaForMaskedLM):  # type: ignore[misc]
    """RoBERTa with logits at targets alone."""

    head_name = "lm_head"


FAMILY = with_masked_lm(
    Family(
        name="roberta",
        model_class=RobertaForSequenceClassification,
        attention_class=RobertaSelfAttention,
        head=("classifier.",),
        num_positions=lambda config: int(config.max_position_embeddings - config.pad_token_id - 1),
        from_scratch=from_scratch,
        **bert_layout("roberta"),
    ),
    RobertaForMaskedLM,
)
