"""Who is measured by the benchmarks `runtime` and `encoder`, and how many bytes of weights a decoding step reads."""

import pytest

from pipeline.benchmarking import contenders as runtime_contenders
from pipeline.benchmarking.contenders import (
    FLOAT,
    STUDENT,
    TEACHER,
    contenders_of,
    encoder_contenders,
    weight_bytes_per_token,
)
from pipeline.config.sections.benchmark import EncoderBenchmarkConfig, EncoderShapeConfig, RuntimeBenchmarkConfig
from pipeline.config.sections.recipe import QuantizationConfig

SETTINGS = RuntimeBenchmarkConfig(schemes=["2-4-8", "3-8-8"])
WIDTH, FFN, VOCAB = 32, 64, 203  # of make_bart
LAYER = 6 * WIDTH * WIDTH + 2 * WIDTH * FFN  # keys and values of the source are computed once
HEAD = WIDTH * VOCAB


def named(depth="2-1", settings=SETTINGS, family="bart"):
    found, left_out = contenders_of(settings, depth, "3-3", family)
    return {contender.name: contender for contender in found}, left_out


def test_the_teacher_is_measured_at_every_depth_and_is_the_student_at_its_own():
    """First of all."""
    found, left_out = named()
    assert next(iter(found)) == TEACHER
    assert (found[TEACHER].depth, found[STUDENT].depth, left_out) == ("3-3", "2-1", {})
    assert STUDENT not in named("3-3")[0]
    few, _ = named(settings=RuntimeBenchmarkConfig(baselines=False, schemes=["2-2-8"], variants=["fast"]))
    assert list(few) == [TEACHER, STUDENT, "2-2-8 fast"]


def test_files_are_shared_where_they_are_the_same_and_only_there():
    """OpenVINO reads what ONNX Runtime reads; the teacher's file serves all depths."""
    found, _ = named()
    paths = [contender.folder for contender in found.values()]
    assert len(set(paths)) == len(paths) - 2
    assert found["2-4-8 openvino"].folder == found["2-4-8 openvino, by OpenVINO"].folder
    assert found[TEACHER].folder == named("1-1")[0][TEACHER].folder


def test_a_runtime_that_is_not_installed_is_left_out_and_named(monkeypatch):
    """So is one that does not know the family."""
    monkeypatch.setattr(runtime_contenders, "installed", lambda engine: engine not in ("openvino", "ctranslate2"))
    found, left_out = named()
    assert left_out["2-4-8 openvino, by OpenVINO"] == "openvino is not installed"
    assert left_out["CTranslate2 int8"] == "ctranslate2 is not installed"
    assert {contender.engine for contender in found.values()} == {"torch", "onnxruntime"}
    monkeypatch.undo()
    assert "not for t5" in named(family="t5")[1]["CTranslate2 fp32"]


@pytest.mark.parametrize(
    ("name", "bits", "head_bits"),
    [
        (STUDENT, 32, 32),
        ("transformers bf16", 16, 16),
        ("ONNX Runtime fp32", 32, 32),
        ("CTranslate2 int8", 8, 8),
        ("2-4-8 fast", 2, 4),
        ("2-4-8 openvino, by OpenVINO", 2, 4),
        ("3-8-8 fast", 4, 8),
        ("2-4-8 exact", 8, 8),
    ],
)
def test_a_step_reads_its_weights_at_the_bits_that_the_runtime_keeps(make_bart, name, bits, head_bits):
    """The decoder's layers without keys and values of the source, and the output projection."""
    shape = make_bart(3, 3).config
    contender = named()[0][name]
    assert weight_bytes_per_token(contender, shape, QuantizationConfig()) == (LAYER * bits + HEAD * head_bits) / 8
    unquantized = QuantizationConfig(lm_head=False)
    if contender.scheme != "32-32-32":
        read = weight_bytes_per_token(contender, shape, unquantized)
        assert read == (LAYER * bits + HEAD * 32) / 8


def test_an_encoder_is_measured_in_fp32_everywhere_and_packed_where_that_is_asked_for():
    """Two attentions share one file; names are told apart by the shape."""
    plain, packed = EncoderShapeConfig(name="a"), EncoderShapeConfig(name="b", layers=2, schemes=["2-2-8"])
    settings = EncoderBenchmarkConfig(shapes=[plain, packed], references=[])
    found = encoder_contenders(settings, plain)
    assert [one.name for one in found] == ["a, transformers sdpa", "a, transformers eager", "a, ONNX Runtime fp32"]
    assert len({one.folder for one in found}) == 2 and {one.scheme for one in found} == {FLOAT}
    more = encoder_contenders(settings, packed)
    assert [one.name for one in more[3:]] == ["b, 2-2-8 exact", "b, 2-2-8 openvino"]
    assert {one.depth for one in more} == {"2"}
