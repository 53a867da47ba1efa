"""Candidates as packages that have learned nothing: for exact bytes and for times, which depend on the shape alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.config.sections.model import ArchitectureConfig, ModelConfig
from pipeline.config.sections.recipe import RecipeConfig
from pipeline.config.sections.sweep import StudentConfig
from pipeline.distillation.layer_map import student_maps
from pipeline.models.families import family_of
from pipeline.search.space import EncoderArchitecture
from pipeline.stages.random_students import random_model, write_random_package
from pipeline.storage.atomic import atomic_folder

if TYPE_CHECKING:
    from transformers import PreTrainedModel

PLAIN = "32-32-32"


def write_student_package(
    folder: Path, teacher: PreTrainedModel, student: StudentConfig, recipe: RecipeConfig, max_tokens: int
) -> int:
    """Cut a teacher to a student's layers and heads, quantize it as its recipe says, and pack it.

    Which heads are kept is of no account here: those with the lowest numbers, spread evenly over the attentions.

    Args:
        folder: of the package; written whole, whatever lay there.
        teacher: in fp32, trained or with random weights; it stays as it is.
        student: depth or layer maps, scheme, part of the heads, what differs from the recipe (bits by pattern).
        recipe: of all students.
        max_tokens: of sources and generated texts.

    Returns:
        Size of its weights in bytes.

    Raises:
        UserError: layers, bits or heads that the teacher or the recipe cannot have.
    """
    maps = student_maps(student, family_of(teacher.config).num_layers(teacher.config))
    quantization = student.recipe_under(recipe).quantization
    with atomic_folder(folder) as partial:
        return write_random_package(
            partial, teacher, maps, student.scheme, quantization, max_tokens, heads=student.heads
        )


def write_encoder_package(
    folder: Path,
    architecture: EncoderArchitecture,
    recipe: RecipeConfig,
    *,
    family: str = "bert",
    scheme: str = PLAIN,
    vocab_size: int,
    max_positions: int,
    seed: int = 0,
) -> int:
    """A classifier from scratch on an encoder of a shape, quantized and packed.

    Args:
        folder: of the package; written whole, whatever lay there.
        architecture: the encoder's shape.
        recipe: how it is quantized.
        family: bert or roberta.
        scheme: `W-E-A`; by default nothing is quantized.
        vocab_size: rows of its token table.
        max_positions: the longest sequence in tokens.
        seed: of its weights.

    Returns:
        Size of its weights in bytes.

    Raises:
        UserError: no such family, or a shape or scheme that it cannot have.
    """
    shape = ArchitectureConfig(
        d_model=architecture.hidden,
        ffn_dim=architecture.intermediate,
        num_heads=architecture.heads,
        encoder_layers=architecture.layers,
        max_positions=max_positions,
    )
    model = random_model(ModelConfig(family=family, vocab_size=vocab_size, architecture=shape), seed)
    maps: tuple[list[int], list[int]] = (list(range(architecture.layers)), [])
    with atomic_folder(folder) as partial:
        return write_random_package(partial, model, maps, scheme, recipe.quantization, max_positions)
