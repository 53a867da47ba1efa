"""Files of benchmarked encoders: one model in every form."""

import numpy as np
import pytest

from pipeline.benchmarking.contenders import encoder_contenders
from pipeline.benchmarking.engines import torch_engine
from pipeline.benchmarking.engines.engine import load_engine
from pipeline.config.sections.benchmark import EncoderBenchmarkConfig, EncoderShapeConfig
from pipeline.config.sections.recipe import QuantizationConfig
from pipeline.stages.benchmark.encoder_shapes import model_config_of, model_of
from pipeline.stages.benchmark.model_files import ModelFiles

SIZES = {"layers": 2, "heads": 2, "hidden": 64, "intermediate": 96, "vocabulary": 300, "positions": 16}


@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_every_runtime_runs_the_same_encoder(tmp_path, family):
    """In fp32 all say the same, up to the order of sums; packed in eight bits nearly so. Files are made once."""
    shape = EncoderShapeConfig(name="tiny", family=family, schemes=["8-8-8"], **SIZES)
    settings = EncoderBenchmarkConfig(shapes=[shape], references=[], lengths=[8])
    files = ModelFiles(model_of(shape), model_config_of(shape), QuantizationConfig(), 28, tmp_path)
    contenders = encoder_contenders(settings, shape)
    paths, refused = files.paths(contenders)
    assert refused == {}
    source = np.array([[5, 6, 7, 8, 9, 10, 11, 12]])
    said = {}
    for contender in contenders:
        engine = load_engine(contender.engine, paths[contender.name], 1, contender.options)()
        sample = engine.sample(source, 0)
        assert (sample.encode_ms > 0, sample.decode_ms, sample.tokens.shape) == (True, 0.0, (1, 0))
        said[contender.name] = engine.classify(source)
    first = said["tiny, transformers sdpa"]
    assert first.shape == (1, 2)
    for name, answer in said.items():
        bound = 1e-4 if "8-8-8" not in name else 0.1
        assert np.linalg.norm(answer - first) < bound * np.linalg.norm(first), name
    made = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert files.paths(contenders) == (paths, {})
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == made


def test_attention_is_the_one_that_was_asked_for(tmp_path, monkeypatch):
    """Else a comparison of two would be of one."""
    shape = EncoderShapeConfig(name="tiny", **SIZES)
    settings = EncoderBenchmarkConfig(shapes=[shape], references=[], lengths=[8])
    files = ModelFiles(model_of(shape), model_config_of(shape), QuantizationConfig(), 28, tmp_path)
    loaded = []
    monkeypatch.setattr(torch_engine, "classifier", loaded.append)
    of_torch = [one for one in encoder_contenders(settings, shape) if one.engine == "torch"]
    for options in (*(contender.options for contender in of_torch), {}):
        load_engine("torch", files.path(of_torch[0]), 1, options)()
    assert [model.config._attn_implementation for model in loaded] == ["sdpa", "eager", "sdpa"]
