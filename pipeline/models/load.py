"""Load a teacher: from the hub, from a folder made by `save_pretrained`, or from scratch."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoConfig, PreTrainedModel
from transformers.utils.logging import disable_progress_bar

from pipeline.config.errors import UserError
from pipeline.config.schema import ModelConfig
from pipeline.config.task import TaskConfig
from pipeline.data.hub import expect_hub
from pipeline.data.languages import decoding_start
from pipeline.models.families import family_named, family_of
from pipeline.models.starting_point import StartingPoint

disable_progress_bar()  # job logs are read by people

# Attention that can return its probabilities and that quantised models share; `sdpa` cannot do either.
ATTENTION = "eager"


def load_teacher(
    model: ModelConfig, tokenizer: Any, task: TaskConfig, seed: int, labels: Sequence[str] = ()
) -> PreTrainedModel:
    """The teacher before fine-tuning, in fp32.

    Args:
        model: where it comes from.
        tokenizer: its tokenizer; a model from scratch takes size and special tokens from it.
        task: its languages decide with which token decoding starts.
        seed: seed of weights from scratch, also of a classifier's on top of a pre-trained encoder.
        labels: of a classification task.

    Raises:
        UserError: nothing readable at that name, another family, or a vocabulary smaller than the tokenizer's.
    """
    torch.manual_seed(seed)
    if not model.pretrained:
        config = read_shape(model, tokenizer, labels)
        teacher = family_of(config).model_class(config)
    else:
        teacher = load_pretrained(model, len(tokenizer), labels)
    teacher.config.update(decoding_start(tokenizer, task))
    return teacher


def read_shape(model: ModelConfig, tokenizer: Any, labels: Sequence[str] = ()) -> Any:
    """The teacher's configuration without its weights: layers, width, positions, labels.

    Raises:
        UserError: nothing readable at that name, or another family.
    """
    if model.pretrained:
        config = _pretrained_config(model.pretrained, model.family)
    else:
        config = family_named(family_name(model)).from_scratch(model.architecture, tokenizer)
        config._attn_implementation = ATTENTION
    if labels:
        config.num_labels = len(labels)  # before the names: it makes default ones
        config.id2label = dict(enumerate(labels))
        config.label2id = {label: number for number, label in enumerate(labels)}
        config.problem_type = "single_label_classification"
    return config


def family_name(model: ModelConfig) -> str:
    """The family of a model, without its weights.

    Raises:
        UserError: nothing readable at that name, or another family.
    """
    if not model.pretrained:
        return model.family or "bart"
    return family_of(_pretrained_config(model.pretrained, model.family)).name


def pretrained_labels(model: ModelConfig) -> list[str] | None:
    """The labels that a pre-trained model's configuration names, in their order; none for a model from scratch."""
    if not model.pretrained:
        return None
    names: dict[int, str] = _pretrained_config(model.pretrained, model.family).id2label
    return [names[number] for number in sorted(names)]


def load_pretrained(model: ModelConfig, vocab_size: int, labels: Sequence[str] = ()) -> PreTrainedModel:
    """A model from a hub name or a folder, weights from safetensors only; a missing classifier starts from scratch."""
    name, config = str(model.pretrained), read_shape(model, None, labels)
    if config.vocab_size < vocab_size:
        raise UserError(
            f"'{name}' has {config.vocab_size} embeddings for a tokenizer of {vocab_size} tokens",
            "a tokenizer that fits the model",
            "set model.tokenizer",
        )
    try:
        return family_of(config).model_class.from_pretrained(
            name,
            config=config,
            dtype=torch.float32,
            use_safetensors=True,
            attn_implementation=ATTENTION,
            ignore_mismatched_sizes=bool(labels),  # a classifier of other labels
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


def load_model(folder: Path, device: torch.device) -> PreTrainedModel:
    """A model that this project saved, frozen, in evaluation mode."""
    config = AutoConfig.from_pretrained(folder)
    model = family_of(config).model_class.from_pretrained(
        folder, dtype=torch.float32, use_safetensors=True, attn_implementation=ATTENTION
    )
    return model.requires_grad_(False).eval().to(device)


def starting_point_of(shape: Any) -> StartingPoint:
    """What a model is, from its configuration."""
    family = family_of(shape)
    return StartingPoint(
        family=family.name, num_layers=family.num_layers(shape), num_positions=family.num_positions(shape)
    )


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
