"""The BART family: quantisation sites, students, footprint shape."""

from __future__ import annotations

import copy
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import nn
from transformers import AttentionInterface, AttentionMaskInterface, BartForConditionalGeneration, PreTrainedModel
from transformers.masking_utils import eager_mask
from transformers.models.bart.modeling_bart import BartAttention

from pipeline.config.errors import UserError
from pipeline.models.load import ATTENTION
from pipeline.quantization.attention import quantised_attention
from pipeline.quantization.blocks import blocks_of
from pipeline.quantization.footprint import Shape
from pipeline.quantization.packed_layers import PackedWeight, attach_packed
from pipeline.quantization.prepare import Sites, prepare, prepare_activations
from pipeline.quantization.scheme import NOT_QUANTISED, Scheme, patterns_of

QUANTISED_ATTENTION = "dq_quantised"

AttentionInterface.register(QUANTISED_ATTENTION, quantised_attention)
AttentionMaskInterface.register(QUANTISED_ATTENTION, eager_mask)


def sites_of(model: PreTrainedModel) -> Sites:
    """Where a BART can be quantised."""
    names = [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    return Sites(
        linears=tuple(name for name in names if name != "lm_head"),
        post_activations=tuple(name for name in names if name.endswith(".fc2")),
        embeddings=("model.shared", "model.encoder.embed_tokens", "model.decoder.embed_tokens"),
        positions=("model.encoder.embed_positions", "model.decoder.embed_positions"),
        lm_head="lm_head",
        attentions=tuple(name for name, module in model.named_modules() if isinstance(module, BartAttention)),
    )


def build_student(
    teacher: PreTrainedModel, encoder_map: list[int], decoder_map: list[int], dropout: float
) -> PreTrainedModel:
    """A student in fp32 whose layer i is a copy of the teacher's layer map[i]; everything else is copied whole.

    Args:
        teacher: the fine-tuned teacher.
        encoder_map: teacher layer of each encoder layer.
        decoder_map: teacher layer of each decoder layer.
        dropout: residual dropout of the student.
    """
    student = empty_model(_student_config(teacher.config, len(encoder_map), len(decoder_map), dropout))
    taken = teacher.state_dict()
    renamed = {}
    for name in student.state_dict():
        parts = name.split(".")
        if parts[2:3] == ["layers"]:
            layers = encoder_map if parts[1] == "encoder" else decoder_map
            parts[3] = str(layers[int(parts[3])])
        renamed[name] = taken[".".join(parts)]
    student.load_state_dict(renamed)
    return student


def empty_model(config: Any) -> PreTrainedModel:
    """A model of a configuration, weights to be loaded."""
    return BartForConditionalGeneration(config)


def prepare_student(student: PreTrainedModel, scheme: Scheme) -> None:
    """Make a student's forward pass fake-quantised."""
    prepare(student, sites_of(student), scheme)
    _use_quantised_attention(student, scheme)


def assemble_packed(config: Any, scheme: Scheme, weights: dict[str, PackedWeight]) -> PreTrainedModel:
    """A packed model around packed weights; the remaining tensors are loaded by the caller."""
    config._attn_implementation = ATTENTION
    model = empty_model(config)
    sites = sites_of(model)
    attach_packed(model, weights)
    prepare_activations(model, sites, scheme)
    _use_quantised_attention(model, scheme)
    return model


def check_scheme(config: Any, scheme: Scheme) -> None:
    """Refuse what does not fit a model, before it is built.

    Raises:
        UserError: groups that do not divide the rows of its matrices, a pattern that matches none of its modules.
    """
    settings = scheme.quantisation
    with torch.device("meta"):
        sites = sites_of(empty_model(config))
    for pattern, _ in patterns_of(settings):
        # The other users of the token embedding go by its first name.
        if not any(fnmatchcase(name, pattern) for name in (*sites.linears, *sites.embeddings[:1], *sites.positions)):
            raise UserError(
                f"recipe.quantisation.bits for '{pattern}', which no module is called",
                f"patterns of names such as {sites.embeddings[0]} or {sites.linears[0]}",
                "change recipe.quantisation.bits",
            )
    rows = {settings.embedding_granularity: {config.d_model}}
    rows.setdefault(settings.weight_granularity, set()).update(
        {config.d_model, config.encoder_ffn_dim, config.decoder_ffn_dim}
    )
    for granularity, lengths in rows.items():
        size = blocks_of(granularity).size
        if size and (odd := [length for length in lengths if length % size]):
            raise UserError(
                f"{granularity} in rows of {odd[0]}",
                "a group length that divides the width and the feed-forward width",
                "set recipe.quantisation.weight_granularity and embedding_granularity, e.g. to per_row",
            )


def shape_of(config: Any) -> Shape:
    """What the footprint formulas need."""
    return Shape(
        vocab_size=config.vocab_size,
        d_model=config.d_model,
        encoder_ffn_dim=config.encoder_ffn_dim,
        decoder_ffn_dim=config.decoder_ffn_dim,
        num_positions=config.max_position_embeddings + 2,
        encoder_layers=config.encoder_layers,
        decoder_layers=config.decoder_layers,
    )


def _student_config(teacher: Any, num_encoder: int, num_decoder: int, dropout: float) -> Any:
    config = copy.deepcopy(teacher)
    config.encoder_layers, config.decoder_layers = num_encoder, num_decoder
    config.dropout = dropout
    config._attn_implementation = ATTENTION
    return config


def _use_quantised_attention(model: PreTrainedModel, scheme: Scheme) -> None:
    if scheme.quantisation.attention and scheme.activation_bits != NOT_QUANTISED:
        model.set_attn_implementation(QUANTISED_ATTENTION)
