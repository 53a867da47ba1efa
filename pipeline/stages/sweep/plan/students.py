"""Which students a sweep has, and under which names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.config.build import build
from pipeline.config.jobs.dq_sweep import SweepJob
from pipeline.config.keys import config_hash, decisions
from pipeline.config.sections.recipe import RecipeConfig, SequenceConfig
from pipeline.config.sections.sweep import StudentConfig
from pipeline.distillation.layer_map import student_maps
from pipeline.models.families import family_of
from pipeline.quantization.scheme import Scheme, scheme_of
from pipeline.stages.job import OpenedJob

if TYPE_CHECKING:
    from transformers import PretrainedConfig


@dataclass(frozen=True, kw_only=True)
class StudentPlan:
    """One student of a sweep with everything that is decided before training."""

    config: StudentConfig
    key: str
    seed: int
    shows_seed: bool  # where a sweep has several
    encoder_map: list[int]
    decoder_map: list[int]

    @classmethod
    def from_payload(cls, payload: dict[str, Any]) -> StudentPlan:
        """The plan that was sent to a worker as plain data."""
        return cls(**{**payload, "config": build(StudentConfig, payload["config"])})

    @property
    def group(self) -> str:
        """The same for all seeds of one student and for nothing else; what stands before `#` is for people."""
        return f"{self.config.name}#{config_hash(decisions(self.config))}"

    @property
    def name(self) -> str:
        """What a person calls it."""
        return f"{self.config.name} seed={self.seed}" if self.shows_seed else self.config.name

    def start_folder(self, sweep: Path) -> Path:
        """Where it is written which heads it keeps, and with which weights it starts, if that is not the teacher's."""
        return sweep / "students" / self.key / "start"

    def packed(self, sweep: Path) -> Path:
        """Where its package lies below the folder of its sweep."""
        return sweep / "students" / self.key / "packed"


def sweep_key(config: SweepJob, teacher_key: str) -> str:
    """The name of a sweep: teacher, recipe and training, but not the list of students, which may grow."""
    return config_hash(teacher_key, decisions(config.recipe), decisions(config.student))


def sequence_of(config: SweepJob, student: StudentConfig) -> SequenceConfig:
    """Whose texts a student is trained on; the references if it has no teacher."""
    return recipe_of(config, student).sequence if student.distil else SequenceConfig()


def peak_learning_rate(config: SweepJob, student: StudentConfig) -> float:
    """The student's own, or the sweep's."""
    return config.student.learning_rate if student.learning_rate is None else student.learning_rate


def recipe_of(config: SweepJob, student: StudentConfig) -> RecipeConfig:
    """The sweep's recipe with what the student changes.

    Raises:
        UserError: a change that the schema does not allow.
    """
    return config.recipe_of(student)


def layer_maps(students: list[StudentConfig], model_config: PretrainedConfig) -> list[tuple[list[int], list[int]]]:
    """Encoder and decoder layer map of every student.

    Args:
        students: their depths and maps.
        model_config: the teacher's configuration.

    Raises:
        UserError: a depth or layer map that the teacher does not have.
    """
    return [student_maps(student, family_of(model_config).num_layers(model_config)) for student in students]


def plan_students(job: OpenedJob[SweepJob], teacher_key: str) -> list[StudentPlan]:
    """The students of a sweep in their order, seed by seed.

    Raises:
        UserError: a depth or layer map that the teacher does not have.
    """
    key, config = sweep_key(job.config, teacher_key), job.config
    points, seeds = config.sweep.points(), config.sweep.seed_list(config.seed)
    return [
        StudentPlan(
            config=student,
            key=config_hash(key, decisions(student), seed),
            seed=seed,
            shows_seed=bool(config.sweep.seeds),
            encoder_map=encoder,
            decoder_map=decoder,
        )
        for seed in seeds
        for student, (encoder, decoder) in zip(points, layer_maps(points, job.model_config), strict=True)
    ]


def scheme_of_student(config: SweepJob, plan: StudentPlan) -> Scheme:
    """The scheme of a student under the job's recipe."""
    return scheme_of(plan.config.scheme, recipe_of(config, plan.config).quantization)
