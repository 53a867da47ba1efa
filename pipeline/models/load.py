"""Load a teacher: from the hub, from a folder made by `save_pretrained`, or from scratch."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import GenerationConfig, PretrainedConfig, PreTrainedModel
from transformers.utils.logging import disable_progress_bar

from pipeline.config.errors import UserError
from pipeline.config.objectives import ModelKind
from pipeline.config.sections.model import ModelConfig
from pipeline.config.sections.task import TaskConfig
from pipeline.data.hub import expect_hub
from pipeline.data.languages import decoding_start
from pipeline.data.numbered_tokens import TokenNumbers
from pipeline.data.pretrained import read_config, read_generation_settings, settings_of
from pipeline.models.checkpoint import Account, account_of, check_finite, load_checkpoint, stored_tensors
from pipeline.models.families import become, family_named, family_of
from pipeline.models.special_tokens import check_numbers, special_tokens
from pipeline.models.starting_point import StartingPoint, check_format
from pipeline.models.token_tables import remember_tables, stored_tables, stored_users, unclear_user
from pipeline.storage.sealed import check_folder

disable_progress_bar()  # job logs are read by people

# Attention that can return its probabilities and that quantized models share; `sdpa` cannot do either.
ATTENTION = "eager"


def load_teacher(
    model: ModelConfig, tokenizer: TokenNumbers, task: TaskConfig, seed: int, labels: Sequence[str] = ()
) -> PreTrainedModel:
    """The teacher before fine-tuning, in fp32.

    Args:
        model: where it comes from.
        tokenizer: its tokenizer; a model from scratch takes size and special tokens from it.
        task: says which kind of model; its languages decide with which token decoding starts.
        seed: seed of weights from scratch, also of a head's on top of a pre-trained encoder.
        labels: of a classification task.

    Raises:
        UserError: nothing readable at that name, another family, or a vocabulary smaller than the tokenizer's.
    """
    torch.manual_seed(seed)
    config = teacher_config(model, tokenizer, task, labels)
    if not model.pretrained:
        return family_of(config).model_class(config)
    return load_pretrained(model, len(tokenizer), labels, config)


def teacher_config(
    model: ModelConfig, tokenizer: TokenNumbers, task: TaskConfig, labels: Sequence[str] = ()
) -> PretrainedConfig:
    """`read_model_config` of a task's kind, with the first tokens of its languages, which a whole tokenizer writes."""
    config = read_model_config(model, tokenizer, labels, task.facts.model)
    config.update(decoding_start(tokenizer, task))
    return config


def read_model_config(
    model: ModelConfig, tokenizer: TokenNumbers | None, labels: Sequence[str] = (), kind: ModelKind | None = None
) -> PretrainedConfig:
    """The teacher's configuration without its weights: layers, width, positions, tables, special tokens, labels.

    Args:
        model: where it comes from.
        tokenizer: names the special tokens that a checkpoint's configuration does not, and none leaves them out; a
            model from scratch takes its size and special tokens from it.
        labels: of a classification task.
        kind: what the model shall be, whatever its checkpoint was; none: what its family usually is.

    Raises:
        UserError: nothing readable at that name, another family, one that is never of the kind, or no safetensors.
    """
    if model.pretrained:
        config = pretrained_config(model.pretrained, model.family)
        become(config, kind)
        named = settings_of(model.pretrained)
        _read_tables(config, model.pretrained, named)
        if tokenizer is not None:
            _complete_tokens(config, model.pretrained, named, tokenizer)
    else:
        assert tokenizer is not None, "of a model from scratch it is known"
        config = family_named(family_name(model), kind).from_scratch(model.architecture, tokenizer)
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
    return family_of(pretrained_config(model.pretrained, model.family)).name


def pretrained_labels(model: ModelConfig) -> list[str] | None:
    """The labels that a pre-trained model's configuration names, in their order; none for a model from scratch."""
    if not model.pretrained:
        return None
    names: dict[int, str] = pretrained_config(model.pretrained, model.family).id2label
    return [names[number] for number in sorted(names)]


def load_pretrained(
    model: ModelConfig, vocab_size: int, labels: Sequence[str] = (), model_config: PretrainedConfig | None = None
) -> PreTrainedModel:
    """A model from a hub name or a folder, weights from safetensors only; a missing head starts from scratch.

    Args:
        model: where it comes from.
        vocab_size: tokens of its tokenizer.
        labels: of a classification task.
        model_config: its configuration, if it has been read; it says of which kind the model is.

    Raises:
        UserError: fewer embeddings than tokens, or weights that are missing or have other shapes.
    """
    check_folder(Path(str(model.pretrained)))  # of a hub name there is none
    name, config = str(model.pretrained), model_config or read_model_config(model, None, labels)
    if config.vocab_size < vocab_size:
        raise UserError(
            f"'{name}' has {config.vocab_size} embeddings for a tokenizer of {vocab_size} tokens",
            "a tokenizer that fits the model",
            "set model.tokenizer",
        )
    config._attn_implementation = ATTENTION
    return load_checkpoint(config, name, draws_head=True)


def check_checkpoint(
    model: ModelConfig, tokenizer: TokenNumbers | None = None, kind: ModelKind | None = None
) -> Account:
    """Whether a checkpoint holds a whole model, of finite numbers, before it is copied or any worker starts.

    Args:
        model: where it lies.
        tokenizer: as of `read_model_config`.
        kind: as of `read_model_config`.

    Raises:
        UserError: no safetensors, tensors that are missing, have other shapes or are not finite, special tokens without
            a vector.
    """
    name = str(model.pretrained)
    if Path(name).is_dir():
        check_format(Path(name), name)  # before the configuration: it may be all that such a folder has
    config = read_model_config(model, tokenizer, kind=kind)
    check_numbers(config, name)  # or transformers fails where it builds the table
    account = account_of(config, name, draws_head=True)
    check_finite(name, account)
    return account


def _read_tables(config: PretrainedConfig, name: str, named: dict[str, Any]) -> None:
    """Let a configuration say which token matrices of its weights are one."""
    tensors, family = stored_tensors(name), family_of(config)
    users, head = stored_users(config, tensors), family.lm_head
    apart = head is not None and named.get("tie_word_embeddings") is False and bool(users)
    lacking = head if head not in users else family.embeddings[0] if {*users} == {head} else None
    if apart and lacking:
        raise UserError(
            f"'{name}' lacks {lacking}.weight, which its configuration does not share (tie_word_embeddings is false)",
            "every tensor of the model that config.json describes",
            "name a whole model; or write tie_word_embeddings: true, if the embedding is the output projection",
        )
    tables = stored_tables(config, tensors)
    if unclear := unclear_user(config, users, tables):
        raise UserError(
            f"'{name}' lacks {unclear}.weight, which could be any of the different matrices of {', '.join(users)}",
            "every tensor of the model that config.json describes",
            "name a folder that save_pretrained of a whole model has written",
        )
    remember_tables(config, tables)


def _complete_tokens(config: PretrainedConfig, name: str, named: dict[str, Any], tokenizer: TokenNumbers) -> None:
    """Special tokens that a checkpoint need not name in its configuration.

    Padding and end are then the tokenizer's; the generation settings may name further ends; decoding starts with what
    they say, or with the token that the family documents.
    """
    for setting in ("pad_token_id", "eos_token_id"):
        token = getattr(tokenizer, setting, None)
        if named.get(setting) in (None, []) and token is not None:
            setattr(config, setting, token)
    family = family_of(config)
    if family.decoder is None:
        return
    try:
        settings = read_generation_settings(name)
    except (OSError, ValueError):  # there need be none
        settings = GenerationConfig()
    tokens = special_tokens(config)
    ends = tuple(dict.fromkeys([*tokens.ends, *special_tokens(settings).ends]))
    if ends != tokens.ends:
        config.eos_token_id = list(ends)
    if named.get("decoder_start_token_id") is not None:
        return
    usual = {"pad_token_id": tokens.pad, "eos_token_id": next(iter(ends), None), None: None}
    start = settings.decoder_start_token_id
    config.decoder_start_token_id = usual[family.start] if start is None else start


def pretrained_config(name: str, family: str | None) -> PretrainedConfig:
    """A model's configuration as it is stored; of the hub nothing else is fetched.

    Raises:
        UserError: nothing readable at that name, or another family.
    """
    expect_hub(name)
    try:
        config = read_config(name)
    except UserError:
        raise
    except Exception as error:  # hub errors, missing files, broken JSON
        raise UserError(
            f"no model at '{name}': {' '.join(str(error).split())[:300]}",
            "a folder made by save_pretrained or a reachable hub name",
            "set model.pretrained",
        ) from error
    if family_of(config).name != (family or config.model_type):
        raise UserError(f"'{name}' is a {config.model_type} model", f"family {family}", "leave model.family empty")
    if getattr(config, "quantization_config", None) is not None:
        raise UserError(
            f"'{name}' was quantized by another tool (quantization_config)",
            "a model in floating point: this project quantizes it itself",
            "name the model that was not quantized yet",
        )
    config.return_dict, config.is_encoder_decoder = True, family_of(config).decoder is not None  # whatever it says
    return config


def load_model(folder: Path, device: torch.device) -> PreTrainedModel:
    """A model that this project saved, frozen, in evaluation mode.

    Raises:
        DamagedFileError: its files are not what was written.
    """
    check_folder(folder)
    config = read_config(folder)
    config._attn_implementation = ATTENTION
    return load_checkpoint(config, str(folder)).requires_grad_(False).eval().to(device)


def starting_point_of(model_config: PretrainedConfig) -> StartingPoint:
    """What a model is, from its configuration."""
    family = family_of(model_config)
    return StartingPoint(
        family=family.name, num_layers=family.num_layers(model_config), num_positions=family.num_positions(model_config)
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
