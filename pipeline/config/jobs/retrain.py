"""Settings of the job `retrain`."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.config.bounds import LARGEST_SEED
from pipeline.config.option import option, section
from pipeline.config.sections.cluster import ClusterConfig
from pipeline.config.sections.data import DataConfig
from pipeline.config.sections.data_checks import DataChecksConfig
from pipeline.config.sections.evaluation import EvaluationConfig
from pipeline.config.sections.gates import GatesConfig
from pipeline.config.sections.model import ModelConfig
from pipeline.config.sections.recipe import RecipeConfig
from pipeline.config.sections.retrain import RetrainConfig
from pipeline.config.sections.storage import StorageConfig
from pipeline.config.sections.sweep import SweepConfig
from pipeline.config.sections.task import TaskConfig
from pipeline.config.sections.tracking import TrackingConfig
from pipeline.config.sections.training import TrainConfig


@dataclass(frozen=True, kw_only=True)
class RetrainJob:
    """One night of scheduled retraining."""

    experiment: str | None = option(None, "named run; the file conf/experiment/<name>.yaml")
    seed: int = option(28, "seed of initialisation, dropout and data order", minimum=0, maximum=LARGEST_SEED)
    data: DataConfig = section(DataConfig, "where data lies")
    task: TaskConfig = section(TaskConfig, "what is learned", is_group=True)
    model: ModelConfig = section(ModelConfig, "the first teacher's starting point", is_group=True)
    recipe: RecipeConfig = section(RecipeConfig, "how students are made", is_group=True)
    cluster: ClusterConfig = section(ClusterConfig, "where training runs", is_group=True)
    teacher: TrainConfig = section(TrainConfig, "fine-tuning of the teacher")
    student: TrainConfig = section(TrainConfig, "training of the students", without=["validate_every_epochs"])
    sweep: SweepConfig = section(SweepConfig, "which students")
    retrain: RetrainConfig = section(RetrainConfig, "what a night does", is_own=True)
    data_checks: DataChecksConfig = section(DataChecksConfig, "which data are trusted")
    gates: GatesConfig = section(GatesConfig, "which candidate may replace the champion")
    evaluation: EvaluationConfig = section(EvaluationConfig, "what is measured", without=["split"])
    storage: StorageConfig = section(StorageConfig, "where results lie")
    tracking: TrackingConfig = section(TrackingConfig, "where runs are recorded", without=["register"])
