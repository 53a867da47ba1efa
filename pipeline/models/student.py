"""Students of any family: built from a teacher's layers, made fake-quantized, assembled from packed weights."""

from __future__ import annotations

import copy
from fnmatch import fnmatchcase

import torch
from transformers import AttentionInterface, AttentionMaskInterface, PretrainedConfig, PreTrainedModel
from transformers.masking_utils import eager_mask

from pipeline.config.errors import UserError
from pipeline.models.families import family_of
from pipeline.models.load import ATTENTION
from pipeline.models.token_tables import share_tables
from pipeline.pruning.removal import remove_heads
from pipeline.quantization.attention import quantized_attention
from pipeline.quantization.blocks import blocks_of
from pipeline.quantization.packed_layers import PackedWeight, attach_packed
from pipeline.quantization.prepare import Sites, prepare, prepare_activations, quantized_tables
from pipeline.quantization.scheme import NOT_QUANTIZED, Scheme, patterns_of

QUANTIZED_ATTENTION = "dq_quantized"

AttentionInterface.register(QUANTIZED_ATTENTION, quantized_attention)
AttentionMaskInterface.register(QUANTIZED_ATTENTION, eager_mask)


def sites_of(model: PreTrainedModel) -> Sites:
    """Where a model can be quantized."""
    return family_of(model.config).sites(model)


def empty_model(config: PretrainedConfig) -> PreTrainedModel:
    """A model of a configuration, weights to be loaded."""
    config._attn_implementation = ATTENTION
    model = family_of(config).model_class(config)
    share_tables(model)
    return model


def meta_model(config: PretrainedConfig) -> PreTrainedModel:
    """A model of a configuration without memory: names and shapes only."""
    with torch.device("meta"):
        return empty_model(copy.deepcopy(config))


def build_student(
    teacher: PreTrainedModel,
    encoder_map: list[int],
    decoder_map: list[int],
    dropout: float,
    heads: dict[str, list[int]] | None = None,
) -> PreTrainedModel:
    """A student in fp32 whose layer i is a copy of the teacher's layer map[i]; everything else is copied whole.

    Args:
        teacher: the fine-tuned teacher.
        encoder_map: teacher layer of each encoder layer.
        decoder_map: teacher layer of each decoder layer; empty for a family without a decoder.
        dropout: residual dropout of the student.
        heads: attention module -> heads that it keeps; all of them where it is not named.
    """
    family, config = family_of(teacher.config), copy.deepcopy(teacher.config)
    maps = dict(zip(family.stacks, (encoder_map, decoder_map), strict=False))
    for stack, layers in maps.items():
        setattr(config, stack.setting, len(layers))
    setattr(config, family.dropout, dropout)
    student, taken, renamed = empty_model(config), teacher.state_dict(), {}
    for name in student.state_dict():
        source = name
        for stack, layers in maps.items():
            if name.startswith(f"{stack.prefix}.") and not any(part in name for part in family.first_layer_only):
                index, _, rest = name.removeprefix(f"{stack.prefix}.").partition(".")
                source = f"{stack.prefix}.{layers[int(index)]}.{rest}"
        renamed[name] = taken[source]
    student.load_state_dict(renamed)
    remove_heads(student, sites_of(student), heads or {})
    return student


def prepare_student(student: PreTrainedModel, scheme: Scheme) -> None:
    """Make a student's forward pass fake-quantized."""
    prepare(student, sites_of(student), scheme)
    _use_quantized_attention(student, scheme)


def sharing_copy(model: PreTrainedModel) -> PreTrainedModel:
    """A model with modules of its own around the same tensors: what is done to its layers, the other does not see."""
    tensors = [*model.parameters(), *model.buffers()]
    return copy.deepcopy(model, {id(tensor): tensor for tensor in tensors})


def prepare_inputs(student: PreTrainedModel, scheme: Scheme) -> None:
    """Fake-quantize what a student's layers read, and none of its weights."""
    prepare_activations(student, sites_of(student), scheme)
    _use_quantized_attention(student, scheme)


def assemble_packed(
    config: PretrainedConfig, scheme: Scheme, weights: dict[str, PackedWeight], heads: dict[str, list[int]]
) -> PreTrainedModel:
    """A packed model around packed weights; the remaining tensors are loaded by the caller.

    Args:
        config: of the model with all its heads.
        scheme: of its activations.
        weights: module name -> packed weight.
        heads: attention module -> heads that are left; all of them where it is not named.
    """
    model = empty_model(config)
    sites = sites_of(model)
    remove_heads(model, sites, heads)
    attach_packed(model, weights)
    prepare_activations(model, sites, scheme)
    _use_quantized_attention(model, scheme)
    return model


def check_scheme(config: PretrainedConfig, scheme: Scheme) -> None:
    """Refuse what does not fit a model, before it is built.

    Raises:
        UserError: groups that do not divide the rows of its matrices, a pattern that matches none of its modules.
    """
    settings, model = scheme.quantization, meta_model(config)
    sites = sites_of(model)
    # Users of one token matrix go by its first name.
    tables = (*dict.fromkeys(sites.matrix_of[name] for name in quantized_tables(sites, scheme)), *sites.positions)
    for pattern, _ in patterns_of(settings):
        if not any(fnmatchcase(name, pattern) for name in (*sites.linears, *tables)):
            raise UserError(
                f"recipe.quantization.bits for '{pattern}', which no module is called",
                f"patterns of names such as {sites.embeddings[0]} or {sites.linears[0]}",
                "change recipe.quantization.bits",
            )
    for granularity, names in ((settings.embedding_granularity, tables), (settings.weight_granularity, sites.linears)):
        size = blocks_of(granularity).size
        lengths = sorted({model.get_submodule(name).weight.shape[-1] for name in names})
        if size and (odd := [length for length in lengths if length % size]):
            raise UserError(
                f"{granularity} in rows of {odd[0]}",
                "a group length that divides the width and the feed-forward width",
                "set recipe.quantization.weight_granularity and embedding_granularity, e.g. to per_row",
            )


def _use_quantized_attention(model: PreTrainedModel, scheme: Scheme) -> None:
    if scheme.quantization.attention and scheme.activation_bits != NOT_QUANTIZED:
        model.set_attn_implementation(QUANTIZED_ATTENTION)
