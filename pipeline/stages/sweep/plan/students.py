"""Which students a sweep has, under which names, and all that is decided about them before training."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.config.build import to_dict
from pipeline.config.changes import difference
from pipeline.config.jobs import TrainsStudents
from pipeline.config.jobs.dq_sweep import SweepJob
from pipeline.config.keys import config_hash, decisions
from pipeline.config.sections.recipe import RecipeConfig, SequenceConfig
from pipeline.config.sections.sweep import StudentConfig
from pipeline.distillation.layer_map import student_maps
from pipeline.models.families import family_of
from pipeline.quantization.scheme import Scheme, scheme_of
from pipeline.stages.job import OpenedJob
from pipeline.stages.sweep.plan.origins import origin_of

if TYPE_CHECKING:
    from transformers import PretrainedConfig

LayerMaps = tuple[list[int], list[int]]  # teacher layer of each encoder layer, and of each decoder layer


@dataclass(frozen=True, kw_only=True)
class StudentPlan:
    """One student with everything that is decided before training: resolved on the driver, once, and sent to workers.

    Args:
        config: what was asked for.
        key: of its results and its run.
        seed: of its batches and its dropout.
        shows_seed: whether its name does, as where a sweep has several.
        folder: where its results lie, below the folder of its sweep.
        encoder_map: teacher layer of each encoder layer.
        decoder_map: teacher layer of each decoder layer.
        recipe: the job's, with what the student changes.
        scheme: its own bits under the quantizer settings of its recipe.
        sequence: whose texts it is trained on; the references if it has no teacher.
        learning_rate: its peak.
        dropout: of the model in training.
        untrained: what a student that is quantized without training is made of; none: it is trained.
    """

    config: StudentConfig
    key: str
    seed: int
    shows_seed: bool
    folder: Path
    encoder_map: list[int]
    decoder_map: list[int]
    recipe: RecipeConfig
    scheme: Scheme
    sequence: SequenceConfig
    learning_rate: float
    dropout: float
    untrained: Untrained | None = None

    @property
    def group(self) -> str:
        """The same for all seeds of one student and for nothing else; what stands before `#` is for people."""
        return f"{self.config.name}#{config_hash(decisions(self.config))}"

    @property
    def name(self) -> str:
        """What a person calls it."""
        return f"{self.config.name} seed={self.seed}" if self.shows_seed else self.config.name

    @property
    def compares_attention(self) -> bool:
        """Whether its losses compare its attention maps with those of its teacher."""
        return self.config.distil and self.recipe.distillation.compares_attention

    @property
    def start_folder(self) -> Path:
        """Where it is written which heads it keeps, and with which weights it starts, if that is not the teacher's.

        A student that is another one, quantized, has the heads of that one.
        """
        origin = None if self.untrained is None else self.untrained.origin
        return self.folder / "start" if origin is None else origin.start_folder

    @property
    def packed_folder(self) -> Path:
        """Where its package lies."""
        return self.folder / "packed"


@dataclass(frozen=True, kw_only=True)
class Untrained:
    """What a student that is quantized without training is made of, and beside whom it stands.

    Args:
        origin: the student in full precision whose weights it has; none: those of the teacher.
        trained_key: of the student of the same bits that is trained, whether the sweep has it or not.
        full_precision_key: of the trained student that is not quantized, likewise.
    """

    origin: StudentPlan | None
    trained_key: str
    full_precision_key: str


def plan_student(
    config: TrainsStudents,
    student: StudentConfig,
    maps: LayerMaps,
    *,
    key: str,
    seed: int,
    shows_seed: bool,
    folder: Path,
    untrained: Untrained | None = None,
) -> StudentPlan:
    """A student under the settings of a job.

    Args:
        config: the job.
        student: what is asked for.
        maps: its layers, as `layer_maps` says.
        key: see `StudentPlan`, as the others.
        seed: likewise.
        shows_seed: likewise.
        folder: likewise.
        untrained: likewise.

    Raises:
        UserError: a change of the recipe that the schema does not allow, quantizers that do not go together.
    """
    recipe = student.recipe_under(config.recipe)
    return StudentPlan(
        config=student,
        key=key,
        seed=seed,
        shows_seed=shows_seed,
        folder=folder,
        encoder_map=maps[0],
        decoder_map=maps[1],
        recipe=recipe,
        scheme=scheme_of(student.scheme, recipe.quantization),
        sequence=recipe.sequence if student.distil else SequenceConfig(),
        learning_rate=config.student.learning_rate if student.learning_rate is None else student.learning_rate,
        dropout=config.student.dropout,
        untrained=untrained,
    )


def sweep_key(config: SweepJob, teacher_key: str) -> str:
    """The name of a sweep: teacher, recipe and training, but not the list of students, which may grow."""
    return config_hash(teacher_key, decisions(config.recipe), decisions(config.student))


def layer_maps(students: list[StudentConfig], model_config: PretrainedConfig) -> list[LayerMaps]:
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
        UserError: a depth or layer map that the teacher does not have, or as `plan_student` and `origin_of` say.
    """
    sweep, config = sweep_key(job.config, teacher_key), job.config
    points = [as_decided(student, config.recipe) for student in config.sweep.points()]
    all_maps, folder = layer_maps(points, job.model_config), job.storage.sweep(sweep) / "students"
    num_layers = family_of(job.model_config).num_layers(job.model_config)

    def key_of(student: StudentConfig, seed: int) -> str:
        return config_hash(sweep, decisions(student), seed)

    def planned(student: StudentConfig, maps: LayerMaps, seed: int) -> StudentPlan:
        key, shows_seed, untrained = key_of(student, seed), bool(config.sweep.seeds), None
        if student.training == "ptq":
            origin = origin_of(student, maps, points, num_layers, config.recipe)
            untrained = Untrained(
                origin=None if origin is None else planned(origin, maps, seed),
                trained_key=key_of(replace(student, training="qat"), seed),
                full_precision_key=key_of(student.in_full_precision(), seed),
            )
        return plan_student(
            config,
            student,
            maps,
            key=key,
            seed=seed,
            shows_seed=shows_seed,
            folder=folder / key,
            untrained=untrained,
        )

    return [
        planned(student, maps, seed)
        for seed in config.sweep.seed_list(config.seed)
        for student, maps in zip(points, all_maps, strict=True)
    ]


def as_decided(student: StudentConfig, recipe: RecipeConfig) -> StudentConfig:
    """The student whose recipe says what differs from the sweep's and nothing else, however that was written."""
    own = student.recipe_under(recipe)
    return replace(student, recipe=difference(to_dict(recipe), to_dict(own)))
