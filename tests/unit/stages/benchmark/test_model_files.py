"""Files of benchmarked encoders: one model in every form."""

import numpy as np
import pytest

from pipeline.benchmarking.contenders import encoder_contenders
from pipeline.benchmarking.engines.engine import load_engine
from pipeline.config.sections.benchmark import EncoderBenchmarkConfig, EncoderShapeConfig
from pipeline.config.sections.recipe import QuantizationConfig
from pipeline.stages.benchmark.encoder_shapes import LABELS, model_config_of, model_of
from pipeline.stages.benchmark.model_files import ModelFiles, code_that_decides_about_files

SIZES = {"layers": 2, "heads": 2, "hidden": 64, "intermediate": 96, "vocabulary": 300, "positions": 16}


@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_every_runtime_runs_the_same_encoder(tmp_path, family):
    """In fp32 all say the same, up to the order of sums; packed in eight bits nearly so. Files are made once."""
    shape = EncoderShapeConfig(name="tiny", family=family, schemes=["8-8-8"], **SIZES)
    settings = EncoderBenchmarkConfig(shapes=[shape], references=[], lengths=[8])
    files = ModelFiles(model_of(shape), model_config_of(shape), QuantizationConfig(), 28, tmp_path, LABELS)
    contenders = encoder_contenders(settings, shape)
    paths, refused = files.paths(contenders)
    assert refused == {}
    source = np.array([[5, 6, 7, 8, 9, 10, 11, 12]])
    said = {}
    for contender in contenders:
        engine = load_engine(contender.engine, paths[contender.name], 1, contender.options)()
        sample = engine.sample(source, 0)
        assert list(sample.ms) == ["forward"] and sample.ms["forward"] > 0
        said[contender.name] = sample.answer
    first = said["tiny, transformers sdpa"]
    assert first.shape == (1, 2)
    for name, answer in said.items():
        bound = 1e-4 if "8-8-8" not in name else 0.1
        assert np.linalg.norm(answer - first) < bound * np.linalg.norm(first), name
    made = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert files.paths(contenders) == (paths, {})
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == made


def test_attention_is_the_one_that_was_asked_for(tmp_path):
    """Else a comparison of two would be of one."""
    shape = EncoderShapeConfig(name="tiny", **SIZES)
    settings = EncoderBenchmarkConfig(shapes=[shape], references=[], lengths=[8])
    files = ModelFiles(model_of(shape), model_config_of(shape), QuantizationConfig(), 28, tmp_path, LABELS)
    for contender in (one for one in encoder_contenders(settings, shape) if one.engine == "torch"):
        engine = load_engine("torch", files.path(contender), 1, contender.options)()
        assert engine.model.config._attn_implementation == contender.options["attention"]
    assert load_engine("torch", files.path(contender), 1, {})().model.config._attn_implementation == "sdpa"


def test_the_code_that_exports_and_runs_is_part_of_a_files_name():
    """Else old files would be taken for new ones."""
    assert any("def export_package" in code for code in code_that_decides_about_files())
    assert any("class OnnxAnswerer" in code for code in code_that_decides_about_files())
