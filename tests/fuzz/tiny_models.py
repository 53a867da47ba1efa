"""Tiny students as packages on disk, made by today's code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from teachers import maps, random_teacher
from transformers import PreTrainedTokenizerFast

from pipeline.config.sections.recipe import QuantizationConfig
from pipeline.config.sections.task import DecodingConfig
from pipeline.data.tokenise import train_tokenizer
from pipeline.export.package import PackageInfo, write_package
from pipeline.models.families import family_named
from pipeline.models.student import build_student, prepare_student, sites_of
from pipeline.quantization.fake_quantize import calibration
from pipeline.quantization.packed_layers import convert
from pipeline.quantization.scheme import scheme_of

SENTENCES = [
    "Return the number of tokens in a batch without padding.",
    "Read a file from disk and raise an error where it is missing.",
    "The teacher never changes while its students are trained.",
]
TEXTS = ["read the tokens of a file", "the teacher", "disk and padding ü"]
GROUPS = {"weight_granularity": "group_32", "embedding_granularity": "group_32"}


def tokenizer_of_sentences() -> PreTrainedTokenizerFast:
    """A small byte-level BPE tokenizer that tells the texts of a pair apart."""
    trained = train_tokenizer(SENTENCES * 4, vocab_size=300)
    settings = {**trained.special_tokens_map, "model_input_names": ["input_ids", "token_type_ids", "attention_mask"]}
    return PreTrainedTokenizerFast(tokenizer_object=trained.backend_tokenizer, **settings)


def write_packages(folder: Path) -> list[Path]:
    """A package of every kind: what generates and what classifies, rows and groups, all heads and some."""
    tokenizer = tokenizer_of_sentences()
    asked: list[tuple[str, str, list[int] | None, dict[str, Any]]] = [
        ("bart", "2-2-8", [0, 3], {}),
        ("bert", "8-8-8", None, {}),
        ("t5", "4-4-32", None, GROUPS),
        ("bart", "1.58-8-8", None, {"activation_granularity": "learned", "post_activation": "asymmetric"}),
    ]
    return [_write(folder / f"{index}", tokenizer, *one) for index, one in enumerate(asked)]


def _write(
    folder: Path, tokenizer: Any, family_name: str, scheme_name: str, heads: list[int] | None, settings: dict[str, Any]
) -> Path:
    family, scheme = family_named(family_name), scheme_of(scheme_name, QuantizationConfig(**settings))
    teacher, layers = random_teacher(family, tokenizer), maps(family, 2)
    names = [site.module for site in sites_of(build_student(teacher, *layers, 0.0)).attentions]
    kept = dict.fromkeys(names, heads) if heads else {}
    student = build_student(teacher, *layers, 0.0, kept).eval()
    prepare_student(student, scheme)
    ids = torch.arange(10, 22).view(2, 6)
    with calibration(student), torch.no_grad():
        student(input_ids=ids, **({"decoder_input_ids": ids} if family.decoder else {}))
    convert(student, sites_of(student), scheme)
    info = PackageInfo(
        scheme=scheme,
        encoder_map=layers[0],
        decoder_map=layers[1],
        heads=kept,
        decoding=DecodingConfig(num_beams=2, max_length=6),
        source_prefix="say: ",
        source_language=None,
        target_language=None,
        max_source_tokens=24,
    )
    write_package(folder, student, tokenizer, info)
    return folder
