"""The shapes of the benchmark `encoder`: as models from scratch, and as the search counts them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.config.sections.benchmark import EncoderShapeConfig
from pipeline.config.sections.model import ArchitectureConfig, ModelConfig
from pipeline.models.load import read_model_config
from pipeline.search.sizes import EncoderEnds, encoder_operations, encoder_parameters
from pipeline.search.space import EncoderArchitecture
from pipeline.stages.random_tokens import Vocabulary

if TYPE_CHECKING:
    from transformers import PretrainedConfig

INIT_STD = 0.02  # BERT's


def model_of(shape: EncoderShapeConfig) -> ModelConfig:
    """The settings of a model from scratch."""
    architecture = ArchitectureConfig(
        d_model=shape.hidden,
        ffn_dim=shape.intermediate,
        num_heads=shape.heads,
        encoder_layers=shape.layers,
        max_positions=shape.positions,
        init_std=INIT_STD,
    )
    return ModelConfig(name=shape.name, family=shape.family, vocab_size=shape.vocabulary, architecture=architecture)


def model_config_of(shape: EncoderShapeConfig) -> PretrainedConfig:
    """The configuration of a classifier of two labels."""
    return read_model_config(model_of(shape), Vocabulary(size=shape.vocabulary))


def multiplications(shape: EncoderShapeConfig, num_tokens: int) -> int:
    """Multiplications of matrix products for one sequence; the search counts an addition with each of them."""
    return encoder_operations(_architecture(shape), _ends(shape), num_tokens).products.total // 2


def num_parameters(shape: EncoderShapeConfig) -> int:
    """Parameters without the classifier's last layer."""
    return encoder_parameters(_architecture(shape), _ends(shape)).total


def _architecture(shape: EncoderShapeConfig) -> EncoderArchitecture:
    return EncoderArchitecture(
        layers=shape.layers, heads=shape.heads, hidden=shape.hidden, intermediate=shape.intermediate
    )


def _ends(shape: EncoderShapeConfig) -> EncoderEnds:
    """A dense layer on the first token is part of every classifier."""
    return EncoderEnds(vocabulary=shape.vocabulary, positions=shape.positions)
