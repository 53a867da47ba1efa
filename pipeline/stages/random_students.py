"""Models with random weights and packages of students, for what does not depend on what they have learned."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from pipeline.config.sections.model import ModelConfig
from pipeline.config.sections.recipe import QuantizationConfig
from pipeline.config.sections.task import DecodingConfig
from pipeline.data.numbered_tokens import numbered_tokenizer
from pipeline.export.package import PackageInfo, write_package
from pipeline.models.families import family_of
from pipeline.models.load import read_model_config
from pipeline.models.student import build_student, empty_model, prepare_student, sites_of
from pipeline.pruning.heads import count_heads
from pipeline.pruning.importance import heads_to_keep
from pipeline.pruning.removal import remove_heads
from pipeline.quantization.packed_layers import convert
from pipeline.quantization.scheme import scheme_of
from pipeline.stages.random_tokens import Vocabulary

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel


def random_model(model: ModelConfig, seed: int) -> PreTrainedModel:
    """A model from scratch, of its family's usual kind, in fp32; its tensors are all different, as of trained ones.

    Args:
        model: its family, shape and vocabulary.
        seed: of its weights.

    Raises:
        UserError: no such family, or a shape that it cannot have.
    """
    torch.manual_seed(seed)
    config = read_model_config(model, Vocabulary(size=model.vocab_size))
    return _all_different(family_of(config).model_class(config).eval(), seed)


def random_weights(model_config: PretrainedConfig, seed: int = 0) -> PreTrainedModel:
    """A model of a configuration with weights of no meaning, in fp32, all different, too; dice stay as they are.

    Args:
        model_config: of any model.
        seed: of its weights.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return _all_different(empty_model(copy.deepcopy(model_config)).eval(), seed)


def _all_different(made: PreTrainedModel, seed: int) -> PreTrainedModel:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():  # norms and biases all alike would be stored once, which no trained model's are
        for vector in (parameter for parameter in made.parameters() if parameter.ndim == 1):
            vector.add_(torch.randn(vector.shape, generator=generator), alpha=0.01)
    return made


def write_random_package(
    folder: Path,
    teacher: PreTrainedModel,
    maps: tuple[list[int], list[int]],
    scheme_name: str,
    quantization: QuantizationConfig,
    max_tokens: int,
    heads: float = 1.0,
) -> int:
    """Cut a teacher, quantize and pack what is left; it learns nothing.

    Args:
        folder: of the package.
        teacher: in fp32, trained or with random weights; it stays as it is.
        maps: teacher layer of every layer of the student's encoder, and of its decoder.
        scheme_name: `W-E-A`.
        quantization: the recipe's.
        max_tokens: of sources and generated texts.
        heads: part of the attention heads that is kept.

    Returns:
        Size of its weights in bytes.

    Raises:
        UserError: a scheme that the recipe cannot have, or a part of the heads that is none.
    """
    scheme = scheme_of(scheme_name, quantization)
    student, kept = cut_student(teacher, maps, heads)
    prepare_student(student, scheme)
    convert(student, sites_of(student), scheme)
    info = PackageInfo(
        scheme=scheme,
        encoder_map=maps[0],
        decoder_map=maps[1],
        heads=kept,
        decoding=DecodingConfig(num_beams=1, min_length=0, max_length=max_tokens),
        source_prefix="",
        source_language=None,
        target_language=None,
        max_source_tokens=max_tokens,
    )
    return write_package(folder, student, numbered_tokenizer(teacher.config.vocab_size), info)


def cut_student(
    teacher: PreTrainedModel, maps: tuple[list[int], list[int]], heads: float
) -> tuple[PreTrainedModel, dict[str, list[int]]]:
    """A student before it is quantized, and the heads that its attentions keep, where they do not keep all.

    Args:
        teacher: see `write_random_package`, as the others.
        maps: likewise.
        heads: likewise.
    """
    student = build_student(teacher, *maps, dropout=0.0).eval()
    kept = {} if heads == 1 else _first_heads(student, heads)
    remove_heads(student, sites_of(student), kept)
    return student, kept


def _first_heads(student: PreTrainedModel, part: float) -> dict[str, list[int]]:
    """As many heads as a sweep would keep, spread evenly over the attentions: which ones is of no account here."""
    sites = sites_of(student)
    scores = {site.module: -torch.arange(count_heads(student, site)) for site in sites.attentions}
    return heads_to_keep({name: score.double() for name, score in scores.items()}, part)
