"""One root dataclass per job, in a module of the job's name, made of sections that jobs share.

What stages that several jobs share need of any of them is said by the protocols here.
"""

from __future__ import annotations

from typing import Protocol

from pipeline.config.sections.cluster import ClusterConfig
from pipeline.config.sections.data import DataConfig
from pipeline.config.sections.evaluation import EvaluationConfig
from pipeline.config.sections.model import ModelConfig
from pipeline.config.sections.recipe import RecipeConfig
from pipeline.config.sections.storage import StorageConfig
from pipeline.config.sections.task import TaskConfig
from pipeline.config.sections.tracking import TrackingConfig
from pipeline.config.sections.training import TrainConfig


class StoresResults(Protocol):
    """A job that leaves something in the storage folder."""

    @property
    def storage(self) -> StorageConfig:
        """Where results lie."""


class HasRuns(StoresResults, Protocol):
    """A job that reads or writes runs."""

    @property
    def tracking(self) -> TrackingConfig:
        """Where runs are recorded."""


class TrainsStudents(Protocol):
    """A job that trains students, whatever its teacher is."""

    @property
    def recipe(self) -> RecipeConfig:
        """How students are made."""

    @property
    def student(self) -> TrainConfig:
        """Their training."""

    @property
    def cluster(self) -> ClusterConfig:
        """Where training runs."""


class RunsWorkers(HasRuns, Protocol):
    """A job whose work is done by workers, on a cluster or in its own process."""

    @property
    def cluster(self) -> ClusterConfig:
        """Where they run."""


class TrainsTeacher(HasRuns, Protocol):
    """A job that fine-tunes a teacher on a task, alone or before its students."""

    @property
    def experiment(self) -> str | None:
        """The named run."""

    @property
    def seed(self) -> int:
        """Of initialisation, dropout and data order."""

    @property
    def data(self) -> DataConfig:
        """Where data lies."""

    @property
    def task(self) -> TaskConfig:
        """What is learned."""

    @property
    def model(self) -> ModelConfig:
        """The teacher's starting point."""

    @property
    def cluster(self) -> ClusterConfig:
        """Where training runs."""

    @property
    def teacher(self) -> TrainConfig:
        """Fine-tuning of the teacher."""

    @property
    def evaluation(self) -> EvaluationConfig:
        """What is measured."""


class DistilsStudents(TrainsTeacher, TrainsStudents, Protocol):
    """A job that fine-tunes a teacher and trains students of it."""
