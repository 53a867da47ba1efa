"""What is decided of a point before training."""

from types import SimpleNamespace

import pytest
from transformers import RobertaConfig

from pipeline.config.jobs.ose_search import OseSearchJob
from pipeline.config.sections.model import ArchitectureConfig, ModelConfig
from pipeline.config.sections.search import SearchConfig
from pipeline.config.sections.search_space import ModelSpaceConfig, StudentSpaceConfig
from pipeline.stages.search.space import model_of, points_of


def test_models_from_scratch_are_of_the_teachers_family():
    """Also beside a pre-trained teacher, whose settings name none; its weights are not theirs."""
    job = SimpleNamespace(
        config=OseSearchJob(model=ModelConfig(pretrained="roberta-base")), model_config=RobertaConfig()
    )
    model = model_of(job, ArchitectureConfig(d_model=16))
    assert (model.family, model.pretrained, model.architecture.d_model) == ("roberta", None, 16)


@pytest.mark.parametrize("decoder_layers", [[], [3]])
def test_a_model_from_scratch_shows_a_decoder_where_it_has_one(decoder_layers):
    """An encoder alone has no depth of a decoder, whatever the settings of models hold."""
    space = ModelSpaceConfig(encoder_layers=[2], decoder_layers=decoder_layers, heads=[2], hidden=[8], intermediate=[4])
    (point,) = points_of(OseSearchJob(search=SearchConfig(kind="models", models=space)))
    assert [point.settings[name] for name in ("decoder_layers",) if name in point.settings] == decoder_layers
    assert point.settings["encoder_layers"] == 2 and point.settings["ffn_dim"] == 4


def test_a_student_shows_its_settings():
    """As a sweep takes them."""
    space = StudentSpaceConfig(encoder_layers=[2], decoder_layers=[], weight_bits=[8], embedding_bits=[8])
    (point,) = points_of(OseSearchJob(search=SearchConfig(students=space)))
    assert (point.settings["depth"], point.settings["scheme"]) == ("2", "8-8-8")
