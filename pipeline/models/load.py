"""Load a teacher: from the hub, from a folder made by `save_pretrained`, or from scratch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, BartConfig, BartForConditionalGeneration, PreTrainedModel
from transformers.utils.logging import disable_progress_bar

from pipeline.config.errors import UserError
from pipeline.config.schema import ArchitectureConfig, ModelConfig, TaskConfig
from pipeline.data.hub import expect_hub

disable_progress_bar()  # job logs are read by people

# Attention that can return its probabilities and that quantised models share; `sdpa` cannot do either.
ATTENTION = "eager"


def load_teacher(model: ModelConfig, tokenizer: Any, seed: int) -> PreTrainedModel:
    """The teacher before fine-tuning, in fp32.

    Args:
        model: where it comes from.
        tokenizer: its tokenizer; a model from scratch takes size and special tokens from it.
        seed: seed of a model from scratch.

    Raises:
        UserError: nothing readable at that name, another family, or a vocabulary smaller than the tokenizer's.
    """
    if not model.pretrained:
        torch.manual_seed(seed)
        return BartForConditionalGeneration(_bart_config(model.architecture, tokenizer))
    return load_pretrained(model.pretrained, model.family, len(tokenizer))


def read_shape(model: ModelConfig, tokenizer: Any) -> Any:
    """The teacher's configuration without its weights: layers, width, positions.

    Raises:
        UserError: nothing readable at that name, or another family.
    """
    if not model.pretrained:
        return _bart_config(model.architecture, tokenizer)
    return _pretrained_config(model.pretrained, model.family)


def load_pretrained(name: str, family: str, vocab_size: int) -> PreTrainedModel:
    """A model of the family from a hub name or a folder, weights from safetensors only."""
    config = _pretrained_config(name, family)
    if config.vocab_size < vocab_size:
        raise UserError(
            f"'{name}' has {config.vocab_size} embeddings for a tokenizer of {vocab_size} tokens",
            "a tokenizer that fits the model",
            "set model.tokenizer",
        )
    try:
        return BartForConditionalGeneration.from_pretrained(
            name, dtype=torch.float32, use_safetensors=True, attn_implementation=ATTENTION
        )
    except Exception as error:
        raise UserError(
            f"the weights of '{name}' cannot be read: {str(error).strip().splitlines()[0]}",
            "safetensors weights",
            "convert them with save_pretrained",
        ) from error


def _pretrained_config(name: str, family: str) -> Any:
    expect_hub(name)
    try:
        config = AutoConfig.from_pretrained(name)
    except Exception as error:  # hub errors, missing files, broken JSON
        raise UserError(
            f"no model at '{name}': {str(error).strip().splitlines()[0]}",
            "a folder made by save_pretrained or a reachable hub name",
            "set model.pretrained",
        ) from error
    if config.model_type != family:
        raise UserError(f"'{name}' is a {config.model_type} model", f"family {family}", "set model.family")
    return config


def load_model(folder: Path, device: torch.device) -> PreTrainedModel:
    """A model that this project saved, frozen, in evaluation mode."""
    model = BartForConditionalGeneration.from_pretrained(
        folder, dtype=torch.float32, use_safetensors=True, attn_implementation=ATTENTION
    )
    return model.requires_grad_(False).eval().to(device)


def check_positions(shape: Any, task: TaskConfig) -> None:
    """Refuse token limits beyond a model's learned positions.

    Raises:
        UserError: sources, targets or generated texts may be longer than the model's positions.
    """
    positions = shape.max_position_embeddings
    limits = {
        "task.max_source_tokens": task.max_source_tokens,
        "task.max_target_tokens": task.max_target_tokens,
        "task.decoding.max_length": task.decoding.max_length,
    }
    for key, limit in limits.items():
        if limit > positions:
            raise UserError(f"{key}={limit}", f"at most {positions} for this model", f"set {key}={positions}")


def _bart_config(shape: ArchitectureConfig, tokenizer: Any) -> BartConfig:
    if shape.d_model % shape.num_heads:
        raise UserError(
            f"d_model {shape.d_model} is not divisible by {shape.num_heads} heads",
            "a multiple of the number of heads",
            "set model.architecture.d_model or num_heads",
        )
    return BartConfig(
        vocab_size=len(tokenizer),
        d_model=shape.d_model,
        encoder_ffn_dim=shape.ffn_dim,
        decoder_ffn_dim=shape.ffn_dim,
        encoder_layers=shape.encoder_layers,
        decoder_layers=shape.decoder_layers,
        encoder_attention_heads=shape.num_heads,
        decoder_attention_heads=shape.num_heads,
        max_position_embeddings=shape.max_positions,
        init_std=shape.init_std,
        bos_token_id=tokenizer.bos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        decoder_start_token_id=tokenizer.eos_token_id,
        forced_eos_token_id=tokenizer.eos_token_id,
        attn_implementation=ATTENTION,
    )


def set_dropout(model: PreTrainedModel, probability: float) -> None:
    """Set the residual dropout of a model that is already built."""
    model.config.dropout = probability
    for module in model.modules():
        if isinstance(getattr(module, "dropout", None), float) and not hasattr(module, "k_proj"):
            module.dropout = probability  # attention modules keep their attention dropout
