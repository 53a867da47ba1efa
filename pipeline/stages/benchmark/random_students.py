"""Packages of students with random weights, for what does not depend on what they have learned."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.config.sections.recipe import QuantizationConfig
from pipeline.config.sections.task import DecodingConfig
from pipeline.data.numbered_tokens import numbered_tokenizer
from pipeline.export.package import PackageInfo, write_package
from pipeline.models.student import build_student, prepare_student, sites_of
from pipeline.quantization.packed_layers import convert
from pipeline.quantization.scheme import scheme_of
from pipeline.stages.sweep.plan.students import LayerMaps

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def write_random_package(
    folder: Path,
    teacher: PreTrainedModel,
    maps: LayerMaps,
    scheme_name: str,
    quantization: QuantizationConfig,
    max_tokens: int,
) -> None:
    """Cut a teacher with random weights, quantize and pack it.

    Args:
        folder: of the package.
        teacher: in fp32; it stays as it is.
        maps: teacher layer of every layer of the student.
        scheme_name: `W-E-A`.
        quantization: the recipe's.
        max_tokens: of sources and generated texts.

    Raises:
        UserError: a scheme that the recipe cannot have.
    """
    scheme = scheme_of(scheme_name, quantization)
    student = build_student(teacher, *maps, dropout=0.0).eval()
    prepare_student(student, scheme)
    convert(student, sites_of(student), scheme)
    info = PackageInfo(
        scheme=scheme,
        encoder_map=maps[0],
        decoder_map=maps[1],
        heads={},
        decoding=DecodingConfig(num_beams=1, min_length=0, max_length=max_tokens),
        source_prefix="",
        source_language=None,
        target_language=None,
        max_source_tokens=max_tokens,
    )
    write_package(folder, student, numbered_tokenizer(teacher.config.vocab_size), info)
