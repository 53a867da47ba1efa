"""Quantizers, prepared students and packages on disk."""

import pytest
import torch
from heads import EOS, FAMILIES, PAD, VOCAB_SIZE, attention_sites, in_float64

from pipeline.config.sections.recipe import QuantizationConfig
from pipeline.config.sections.task import DecodingConfig
from pipeline.export.package import WEIGHTS, PackageInfo, write_package
from pipeline.models.student import build_student, prepare_student, sites_of
from pipeline.quantization.blocks import ROW, TENSOR
from pipeline.quantization.learned import AnchoredClip, LearnedStep, StretchedElastic
from pipeline.quantization.packed_layers import convert
from pipeline.quantization.quantizers import Asymmetric, Elastic, Symmetric, Ternary
from pipeline.quantization.scheme import scheme_of

PLACES = [(blocks, clip) for blocks in (ROW, TENSOR) for clip in (None, 2.5)]
STATELESS = [
    *(Symmetric(bits=bits, blocks=blocks, clip_value=clip) for bits in (3, 4, 8) for blocks, clip in PLACES),
    *(Ternary(bits=bits, blocks=blocks, clip_value=clip) for bits in (1.58, 2) for blocks, clip in PLACES),
    *(Asymmetric(bits=bits, blocks=blocks, clip_value=clip) for bits in (2, 3, 4, 8) for blocks, clip in PLACES),
    *(Elastic(bits=bits, blocks=blocks) for bits in (1, 1.58, 2) for blocks in (ROW, TENSOR)),
]
LEARNED = [
    *(LearnedStep(bits=bits, blocks=blocks) for bits in (2, 3, 4, 8) for blocks in (ROW, TENSOR)),
    *(StretchedElastic(bits=bits, blocks=blocks) for bits in (1.58, 2) for blocks in (ROW, TENSOR)),
    *(AnchoredClip(bits=bits, blocks=blocks) for bits in (1.58, 2, 3, 4, 8) for blocks in (ROW, TENSOR)),
]


@pytest.fixture(scope="session", params=[*STATELESS, *LEARNED], ids=str)
def quantizer(request):
    """Every quantizer at every number of bits, per row and per tensor, with and without a clip."""
    return request.param


@pytest.fixture(scope="session", params=LEARNED, ids=str)
def learned(request):
    """Every quantizer with a learned scale."""
    return request.param


@pytest.fixture
def make_student(make_bart):
    """A prepared 2-1 student of a 3-3 teacher with its package information."""

    def make(scheme: str, seed: int = 0, logits_bias: bool = False, shape: dict | None = None, **quantization):
        student = build_student(make_bart(3, 3, seed=seed, **(shape or {})), [0, 2], [2], 0.0).eval()
        if logits_bias:
            student.final_logits_bias.normal_(generator=torch.Generator().manual_seed(seed))
        settings = scheme_of(scheme, QuantizationConfig(**quantization))
        prepare_student(student, settings)
        info = PackageInfo(
            scheme=settings,
            encoder_map=[0, 2],
            decoder_map=[2],
            heads={},
            decoding=DecodingConfig(num_beams=3, max_length=12, length_penalty=0.8),
            source_prefix="summarise: ",
            source_language=None,
            target_language=None,
            max_source_tokens=64,
        )
        return student, info

    return make


@pytest.fixture
def make_package_of(tiny_tokenizer, tmp_path):
    """The folder of a converted student's package."""

    def make(student, info):
        size = write_package(tmp_path / "packed", student, tiny_tokenizer, info)
        assert size == (tmp_path / "packed" / WEIGHTS).stat().st_size
        return tmp_path / "packed"

    return make


@pytest.fixture
def make_package(make_student, make_package_of):
    """A package on disk: (folder, converted student)."""

    def make(scheme: str = "2-2-8", **options):
        student, info = make_student(scheme, **options)
        convert(student, sites_of(student), info.scheme)
        return make_package_of(student, info), student

    return make


@pytest.fixture
def make_model(make_bart):
    """A tiny model of a family in float64 with non-zero biases, and its sites."""

    def make(family: str, attention: str = "eager"):
        if family == "bart":
            model = make_bart(3, 3, attn_implementation=attention).double()
            return model, sites_of(model)
        of_model, of_config, shape, linears = FAMILIES[family]
        tokens = {"bos_token_id": 0, "pad_token_id": PAD, "eos_token_id": EOS, "decoder_start_token_id": EOS}
        config = of_config(vocab_size=VOCAB_SIZE, **shape, **tokens, attn_implementation=attention)
        torch.manual_seed(0)
        model = in_float64(of_model(config)).eval()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn_like(parameter), alpha=0.1)
        return model, attention_sites(model, linears)

    return make
