"""Where a teacher starts from."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.config.bounds import LARGEST_SIZE, MOST_LISTED
from pipeline.config.option import option


@dataclass(frozen=True, kw_only=True)
class ArchitectureConfig:
    """A model built from scratch (used when model.pretrained is empty)."""

    d_model: int = option(128, "width of the residual stream", minimum=4, maximum=LARGEST_SIZE)
    ffn_dim: int = option(512, "width of the feed-forward layers", minimum=4, maximum=LARGEST_SIZE)
    num_heads: int = option(4, "attention heads per layer", minimum=1, maximum=LARGEST_SIZE)
    encoder_layers: int = option(6, "encoder layers", minimum=1, maximum=MOST_LISTED)
    decoder_layers: int = option(6, "decoder layers", minimum=1, maximum=MOST_LISTED)
    max_positions: int = option(256, "longest sequence in tokens", minimum=8, maximum=LARGEST_SIZE)
    init_std: float = option(0.08, "standard deviation of initial weights; 0.02 was seen not to learn", minimum=0.0)


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """The teacher's starting point and tokenizer."""

    name: str = option("seed", "name of the model; the file conf/model/<name>.yaml")
    family: str | None = option(
        None, "model family: of a model from scratch (none: bart); a pre-trained one says its own, checked if given"
    )
    pretrained: str | None = option(None, "hub name or folder made by save_pretrained; empty: from scratch")
    tokenizer: str | None = option(
        None, "hub name or folder; empty: that of model.pretrained, or one trained on the training split"
    )
    vocab_size: int = option(
        4096, "vocabulary of a tokenizer trained here, in tokens", minimum=300, maximum=LARGEST_SIZE
    )
    architecture: ArchitectureConfig = option(ArchitectureConfig, "shape of a model built from scratch")
