"""Settings of the job `ose_search`."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.config.bounds import LARGEST_SEED
from pipeline.config.option import option, section
from pipeline.config.sections.cluster import ClusterConfig
from pipeline.config.sections.data import DataConfig
from pipeline.config.sections.evaluation import EvaluationConfig
from pipeline.config.sections.model import ModelConfig
from pipeline.config.sections.recipe import RecipeConfig
from pipeline.config.sections.search import SearchConfig
from pipeline.config.sections.storage import StorageConfig
from pipeline.config.sections.task import TaskConfig
from pipeline.config.sections.tracking import TrackingConfig
from pipeline.config.sections.training import TrainConfig


@dataclass(frozen=True, kw_only=True)
class OseSearchJob:
    """A space of architectures, what they cost, how well they begin to learn, and the best of them."""

    experiment: str | None = option(None, "named run; the file conf/experiment/<name>.yaml")
    seed: int = option(28, "seed of initialisation, dropout and data order", minimum=0, maximum=LARGEST_SEED)
    data: DataConfig = section(DataConfig, "where data lies")
    task: TaskConfig = section(TaskConfig, "what is learned", is_group=True)
    model: ModelConfig = section(ModelConfig, "the teacher's starting point", is_group=True)
    recipe: RecipeConfig = section(RecipeConfig, "how students are made", is_group=True)
    cluster: ClusterConfig = section(ClusterConfig, "where training runs", is_group=True)
    teacher: TrainConfig = section(TrainConfig, "fine-tuning of the teacher")
    student: TrainConfig = section(
        TrainConfig, "training of the candidates, of which they see the first steps", without=["validate_every_epochs"]
    )
    search: SearchConfig = section(SearchConfig, "what is searched")
    evaluation: EvaluationConfig = section(
        EvaluationConfig, "what is measured", without=["num_samples", "score_exported", "latency_examples"]
    )
    storage: StorageConfig = section(StorageConfig, "where results lie")
    tracking: TrackingConfig = section(TrackingConfig, "where runs are recorded", without=["register"])
