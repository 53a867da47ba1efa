"""Load a teacher: from the hub, from a folder made by `save_pretrained`, or from scratch."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoConfig, PreTrainedModel
from transformers.utils.logging import disable_progress_bar

from pipeline.config.errors import UserError
from pipeline.config.schema import ModelConfig, TaskConfig
from pipeline.data.hub import expect_hub
from pipeline.data.languages import decoding_start
from pipeline.models.families import family_named, family_of

disable_progress_bar()  # job logs are read by people

# Attention that can return its probabilities and that quantised models share; `sdpa` cannot do either.
ATTENTION = "eager"


def load_teacher(model: ModelConfig, tokenizer: Any, task: TaskConfig, seed: int) -> PreTrainedModel:
    """The teacher before fine-tuning, in fp32.

    Args:
        model: where it comes from.
        tokenizer: its tokenizer; a model from scratch takes size and special tokens from it.
        task: its languages decide with which token decoding starts.
        seed: seed of a model from scratch.

    Raises:
        UserError: nothing readable at that name, another family, or a vocabulary smaller than the tokenizer's.
    """
    if not model.pretrained:
        torch.manual_seed(seed)
        config = _config_from_scratch(model, tokenizer)
        teacher = family_of(config).model_class(config)
    else:
        teacher = load_pretrained(model.pretrained, model.family, len(tokenizer))
    teacher.config.update(decoding_start(tokenizer, task))
    return teacher


def read_shape(model: ModelConfig, tokenizer: Any) -> Any:
    """The teacher's configuration without its weights: layers, width, positions.

    Raises:
        UserError: nothing readable at that name, or another family.
    """
    if not model.pretrained:
        return _config_from_scratch(model, tokenizer)
    return _pretrained_config(model.pretrained, model.family)


def load_pretrained(name: str, family: str | None, vocab_size: int) -> PreTrainedModel:
    """A model of the family from a hub name or a folder, weights from safetensors only."""
    config = _pretrained_config(name, family)
    if config.vocab_size < vocab_size:
        raise UserError(
            f"'{name}' has {config.vocab_size} embeddings for a tokenizer of {vocab_size} tokens",
            "a tokenizer that fits the model",
            "set model.tokenizer",
        )
    try:
        return family_of(config).model_class.from_pretrained(
            name, dtype=torch.float32, use_safetensors=True, attn_implementation=ATTENTION
        )
    except Exception as error:
        raise UserError(
            f"the weights of '{name}' cannot be read: {str(error).strip().splitlines()[0]}",
            "safetensors weights",
            "convert them with save_pretrained",
        ) from error


def _pretrained_config(name: str, family: str | None) -> Any:
    expect_hub(name)
    try:
        config = AutoConfig.from_pretrained(name)
    except Exception as error:  # hub errors, missing files, broken JSON
        raise UserError(
            f"no model at '{name}': {str(error).strip().splitlines()[0]}",
            "a folder made by save_pretrained or a reachable hub name",
            "set model.pretrained",
        ) from error
    if family_of(config).name != (family or config.model_type):
        raise UserError(f"'{name}' is a {config.model_type} model", f"family {family}", "leave model.family empty")
    return config


def _config_from_scratch(model: ModelConfig, tokenizer: Any) -> Any:
    config = family_named(model.family or "bart").from_scratch(model.architecture, tokenizer)
    config._attn_implementation = ATTENTION
    return config


def load_model(folder: Path, device: torch.device) -> PreTrainedModel:
    """A model that this project saved, frozen, in evaluation mode."""
    config = AutoConfig.from_pretrained(folder)
    model = family_of(config).model_class.from_pretrained(
        folder, dtype=torch.float32, use_safetensors=True, attn_implementation=ATTENTION
    )
    return model.requires_grad_(False).eval().to(device)


def check_positions(shape: Any, task: TaskConfig) -> None:
    """Refuse token limits beyond a model's learned positions.

    Raises:
        UserError: sources, targets or generated texts may be longer than the model's positions.
    """
    positions = family_of(shape).num_positions(shape)
    if positions is None:
        return
    limits = {
        "task.max_source_tokens": task.max_source_tokens,
        "task.max_target_tokens": task.max_target_tokens,
        "task.decoding.max_length": task.decoding.max_length,
    }
    for key, limit in limits.items():
        if limit > positions:
            raise UserError(f"{key}={limit}", f"at most {positions} for this model", f"set {key}={positions}")


def set_dropout(model: PreTrainedModel, probability: float) -> None:
    """Set the residual dropout of a model that is already built, as if its configuration had always said so."""
    family = family_of(model.config)
    setattr(model.config, family.dropout, probability)
    with torch.device("meta"):
        wanted = family.model_class(copy.deepcopy(model.config))
    for name, module in wanted.named_modules():
        attribute = "p" if isinstance(module, nn.Dropout) else "dropout"
        if isinstance(value := getattr(module, attribute, None), float):
            setattr(model.get_submodule(name), attribute, value)
