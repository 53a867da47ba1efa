"""What is decided of a point before training."""

from types import SimpleNamespace

from transformers import RobertaConfig

from pipeline.config.jobs.ose_search import OseSearchJob
from pipeline.config.sections.model import ArchitectureConfig, ModelConfig
from pipeline.stages.search.space import model_of


def test_models_from_scratch_are_of_the_teachers_family():
    """Also beside a pre-trained teacher, whose settings name none; its weights are not theirs."""
    job = SimpleNamespace(
        config=OseSearchJob(model=ModelConfig(pretrained="roberta-base")), model_config=RobertaConfig()
    )
    model = model_of(job, ArchitectureConfig(d_model=16))
    assert (model.family, model.pretrained, model.architecture.d_model) == ("roberta", None, 16)
