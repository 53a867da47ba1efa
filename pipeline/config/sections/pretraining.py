"""Settings of pre-training: the small model, and what it learns from a teacher."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from pipeline.config.bounds import LARGEST_SIZE, MOST_LISTED
from pipeline.config.errors import UserError
from pipeline.config.option import check_relations, option, relation
from pipeline.config.sections.model import ArchitectureConfig
from pipeline.config.sections.recipe import DECODER_TERMS, DistillationConfig

# The losses that a teacher is needed for.
OF_TEACHER = ("logits", "hidden", "relations")


@dataclass(frozen=True, kw_only=True)
class EncoderConfig:
    """An encoder from scratch; the defaults are Bort's (arXiv 2010.10499), its published vocabulary aside."""

    encoder_layers: int = option(4, "layers", minimum=1, maximum=MOST_LISTED)
    num_heads: int = option(8, "attention heads per layer", minimum=1, maximum=LARGEST_SIZE)
    d_model: int = option(1024, "width of the residual stream", minimum=4, maximum=LARGEST_SIZE)
    ffn_dim: int = option(768, "width of the feed-forward layers", minimum=4, maximum=LARGEST_SIZE)
    max_positions: int = option(512, "longest sequence in tokens", minimum=8, maximum=LARGEST_SIZE)
    init_std: float = option(0.02, "standard deviation of initial weights", minimum=0.0)

    def __post_init__(self) -> None:
        check_relations(self)

    @relation("num_heads", "d_model")
    def _heads_divide_width(self) -> None:
        if self.d_model % self.num_heads:
            raise UserError(
                f"pretraining.architecture: {self.num_heads} heads in a width of {self.d_model}",
                "heads that divide the width",
                "set pretraining.architecture.num_heads or d_model",
            )

    @property
    def whole(self) -> ArchitectureConfig:
        """The same as the architecture of a model."""
        return ArchitectureConfig(**{setting.name: getattr(self, setting.name) for setting in fields(self)})


@dataclass(frozen=True, kw_only=True)
class PretrainingConfig:
    """What is pre-trained, and by which losses; the weights are those of Bort's released scripts."""

    architecture: EncoderConfig = option(EncoderConfig, "the small model; with pretraining.start it is that model's")
    family: str | None = option(
        None, "family of the small model, bert or roberta; none: the teacher's", is_literal=True
    )
    start: str | None = option(
        None, "folder or hub name of a masked LM that is trained further; none: from scratch", is_literal=True
    )
    task: float = option(0.1, "weight of the cross-entropy with the hidden tokens", minimum=0.0)
    logits: float = option(
        0.5,
        "weight of the KL divergence to the teacher at the hidden tokens, times the squared temperature",
        minimum=0.0,
    )
    temperature: float = option(2.0, "temperature of the KL divergence", minimum=0.01)
    hidden: float = option(
        0.0,
        "weight of the distance of hidden states to those of evenly spaced teacher layers of the same width",
        minimum=0.0,
    )
    relations: float = option(
        0.0, "weight of the KL divergence of self-attention relations of the last layers, of any width", minimum=0.0
    )
    relation_heads: int | None = option(
        None, "heads that queries, keys and values are cut into for relations; none: the teacher's", minimum=1
    )
    compare: bool = option(
        True,
        "pre-train the same model without a teacher beside it, on the same batches from the same weights",
        changes_results=False,
    )
    validate_every_steps: int = option(
        500,
        "optimiser steps between validations, whose losses say when two models were equal",
        minimum=1,
        changes_results=False,
    )

    def __post_init__(self) -> None:
        check_relations(self)

    @relation(*OF_TEACHER)
    def _something_is_distilled(self) -> None:
        if not any(getattr(self, name) for name in OF_TEACHER):
            raise UserError(
                f"pretraining.{', '.join(OF_TEACHER)} all 0: nothing is learned from the teacher",
                "one of them above 0; jobs/finetune_teacher.py pre-trains without a teacher",
                "set pretraining.logits=0.5",
            )

    @property
    def weights(self) -> DistillationConfig:
        """The same as weights of the losses; an encoder alone has none of a decoder."""
        without_decoder: dict[str, Any] = dict.fromkeys(DECODER_TERMS, 0.0)
        return DistillationConfig(
            task=self.task,
            logits=self.logits,
            temperature=self.temperature,
            encoder_attention=0.0,
            encoder_hidden=self.hidden,
            encoder_relations=self.relations,
            relation_heads=self.relation_heads,
            **without_decoder,
        )
