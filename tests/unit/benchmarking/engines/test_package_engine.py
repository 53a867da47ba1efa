"""What is timed of a package: in torch and as graphs the same work, whatever the model would say."""

import numpy as np
import pytest
import torch

from pipeline.benchmarking.engines import ort_engine, package_engine
from pipeline.config.sections.model import ArchitectureConfig, ModelConfig
from pipeline.config.sections.recipe import QuantizationConfig
from pipeline.export.onnx.export import export_package
from pipeline.models.special_tokens import special_tokens
from pipeline.stages.random_students import random_model, write_random_package

SOURCE = np.array([[5, 6, 7, 8], [9, 8, 7, 6]])


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    """A package of one layer."""
    shape = ArchitectureConfig(d_model=16, ffn_dim=32, num_heads=2, encoder_layers=1, max_positions=32)
    model = random_model(ModelConfig(family="bert", vocab_size=300, architecture=shape), 0)
    folder = tmp_path_factory.mktemp("classifier") / "packed"
    write_random_package(folder, model, ([0], []), "8-8-8", QuantizationConfig(), 32)
    return folder


def engines_of(package, folder):
    """The package in torch and in ONNX Runtime."""
    export_package(package, folder, "exact")
    return package_engine.load(package, 1), ort_engine.load(folder, 1)


def test_as_many_tokens_are_generated_as_are_asked_for(make_bart, tmp_path):
    """By a model that would end its texts at once, in every runtime; otherwise random weights would decide."""
    model = make_bart(1, 1)
    end = special_tokens(model.config).ends[0]
    with torch.no_grad():
        model.final_logits_bias[:, end] = 1e4
    write_random_package(tmp_path / "packed", model, ([0], [0]), "8-8-8", QuantizationConfig(), 32)
    for engine in engines_of(tmp_path / "packed", tmp_path / "graphs"):
        for num_tokens in (2, 7):
            sample = engine.sample(SOURCE, num_tokens)
            assert sample.tokens.shape == (2, num_tokens)
            assert sample.encode_ms > 0 and sample.decode_ms > 0


def test_a_classifier_reads_and_generates_nothing(classifier, tmp_path):
    """However many tokens others generate."""
    for engine in engines_of(classifier, tmp_path / "graphs"):
        sample = engine.sample(SOURCE, 7)
        assert sample.tokens.shape == (2, 0)
        assert sample.encode_ms > 0 == sample.decode_ms


def test_both_runtimes_read_the_same_classifier(classifier, tmp_path):
    """Their logits differ by rounding alone."""
    in_torch, in_onnx = (engine.classify(SOURCE) for engine in engines_of(classifier, tmp_path / "graphs"))
    assert in_torch.shape == in_onnx.shape == (2, 2)
    np.testing.assert_allclose(in_torch, in_onnx, atol=1e-2)
