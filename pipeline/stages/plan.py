"""Which students a sweep has, under which names, and whether they are possible."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import nn

from pipeline.cluster.ray_train import check_memory
from pipeline.config.build import build, changed
from pipeline.config.errors import UserError
from pipeline.config.load import config_hash
from pipeline.config.schema import JobConfig, RecipeConfig, SequenceConfig, StudentConfig
from pipeline.distillation.layer_map import layer_map
from pipeline.distillation.recording import check_relations
from pipeline.models.families import family_of
from pipeline.models.student import check_scheme, outline, sites_of
from pipeline.quantization.schedule import phases_of
from pipeline.quantization.scheme import Scheme, scheme_of
from pipeline.stages.job import OpenedJob
from pipeline.stages.storage import MIN_FREE_BYTES, check_free
from pipeline.stages.teacher import TeacherResult

# Bytes of an idle worker process with its libraries, seen on CPU.
WORKER_BYTES = 1.0 * 2**30
BYTES_PER_PARAMETER = 16  # fp32 shadow weight, gradient, two AdamW moments


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
        return f"{self.config.name}#{config_hash(asdict(self.config))}"

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


def sweep_key(config: JobConfig, teacher: TeacherResult) -> str:
    """The name of a sweep: teacher, recipe and training, but not the list of students, which may grow."""
    training = {name: value for name, value in asdict(config.student).items() if not name.endswith("_every_steps")}
    return config_hash(teacher.key, asdict(config.recipe), training)


def check_possible(job: OpenedJob) -> None:
    """Refuse an impossible sweep before the teacher is trained.

    Raises:
        UserError: a depth or a relation that the teacher does not have, another objective than the task's, or too
            little memory or disk.
    """
    if job.config.task.objective != "supervised":
        raise UserError(
            f"task.objective={job.config.task.objective} in a sweep",
            "supervised; denoising is for jobs/finetune_teacher.py",
            "set task.objective=supervised",
        )
    layer_maps(job.config, job.shape)
    num_layers = dict(zip(("encoder", "decoder"), family_of(job.shape).num_layers(job.shape), strict=True))
    model = outline(job.shape)
    query = model.get_submodule(sites_of(model).attentions[0].query)
    assert isinstance(query, nn.Linear)
    for student in job.config.sweep.students:
        recipe = recipe_of(job.config, student)
        check_scheme(job.shape, scheme_of(student.scheme, recipe.quantisation))
        phases_of(recipe.schedule, recipe.quantisation)
        _check_heads(job.config, student, recipe)
        check_relations(recipe.distillation, num_layers, query.out_features)
    check_room(job, len(job.config.sweep.students))


def _check_heads(config: JobConfig, student: StudentConfig, recipe: RecipeConfig) -> None:
    if student.heads == 1:
        if "pruning" in student.recipe:
            raise UserError(
                f"student '{student.name}' with recipe.pruning and all its heads",
                "heads below 1",
                "set heads, e.g. 0.5",
            )
        return
    if recipe.pruning.method == "gates" and (config.student.max_steps == 0 or config.student.epochs == 0):
        raise UserError(
            f"student '{student.name}' with gates and no training steps", "steps to train them", "set student.max_steps"
        )
    if student.distil and recipe.distillation.reduction == "tensor":
        raise UserError(
            f"student '{student.name}' with heads={student.heads:g} and reduction=tensor",
            "token; the published losses compare all heads",
            "set recipe.distillation.reduction=token, or heads=1",
        )
    if recipe.quantisation.weight_granularity.startswith("group"):
        raise UserError(
            f"student '{student.name}' with {recipe.quantisation.weight_granularity}",
            "per_row or per_tensor where heads are removed: what is left of a row is not whole groups",
            "set recipe.quantisation.weight_granularity=per_row, or heads=1",
        )


def sequence_of(config: JobConfig, student: StudentConfig) -> SequenceConfig:
    """Whose texts a student is trained on; the references if it has no teacher."""
    return recipe_of(config, student).sequence if student.distil else SequenceConfig()


def peak_learning_rate(config: JobConfig, student: StudentConfig) -> float:
    """The student's own, or the sweep's."""
    return config.student.learning_rate if student.learning_rate is None else student.learning_rate


def check_room(job: OpenedJob, num_models: int) -> None:
    """Refuse what fits neither disk nor memory: so many models as large as the teacher, trained at once.

    Raises:
        UserError: too little of either.
    """
    num_parameters, config = _num_parameters(job.shape), job.config
    # Two checkpoints exist while one replaces the other.
    checkpoints = 2 * num_models * BYTES_PER_PARAMETER * num_parameters
    check_free(job.storage.root, MIN_FREE_BYTES + checkpoints)
    trained = num_models * BYTES_PER_PARAMETER * num_parameters
    replica = 4 * num_parameters  # the teacher beside its students, or the copy that validates it
    tokens = max(config.student.micro_batch_tokens, config.teacher.micro_batch_tokens)
    activations = 64.0 * tokens * math.sqrt(num_parameters)  # grows with width x depth
    check_memory(config.cluster.num_workers * (WORKER_BYTES + trained + replica + activations), config.cluster)


def recipe_of(config: JobConfig, student: StudentConfig) -> RecipeConfig:
    """The sweep's recipe with what the student changes.

    Raises:
        UserError: a change that the schema does not allow.
    """
    return changed(config.recipe, student.recipe, f"recipe of student '{student.name}'")


def layer_maps(config: JobConfig, shape: Any) -> list[tuple[list[int], list[int]]]:
    """Encoder and decoder layer map of every student.

    Args:
        config: the job.
        shape: the teacher's configuration.

    Raises:
        UserError: a depth or layer map that the teacher does not have.
    """
    maps = []
    of_encoder, of_decoder = family_of(shape).num_layers(shape)
    for student in config.sweep.students:
        num_encoder, num_decoder = (int(layers) for layers in student.depth.split("-"))
        encoder = layer_map(of_encoder, num_encoder, student.encoder_map)
        maps.append((encoder, layer_map(of_decoder, num_decoder, student.decoder_map)))
    return maps


def plan_students(job: OpenedJob, teacher: TeacherResult) -> list[StudentPlan]:
    """The students of a sweep in their order, seed by seed.

    Raises:
        UserError: a depth or layer map that the teacher does not have.
    """
    key, config = sweep_key(job.config, teacher), job.config
    return [
        StudentPlan(
            config=student,
            key=config_hash(key, asdict(student), seed),
            seed=seed,
            shows_seed=bool(config.sweep.seeds),
            encoder_map=encoder,
            decoder_map=decoder,
        )
        for seed in config.sweep.seeds or [config.seed]
        for student, (encoder, decoder) in zip(config.sweep.students, layer_maps(config, job.shape), strict=True)
    ]


def scheme_of_student(config: JobConfig, plan: StudentPlan) -> Scheme:
    """The scheme of a student under the job's recipe."""
    return scheme_of(plan.config.scheme, recipe_of(config, plan.config).quantisation)


def _num_parameters(shape: Any) -> float:
    return float(sum(parameter.numel() for parameter in outline(shape).parameters()))
