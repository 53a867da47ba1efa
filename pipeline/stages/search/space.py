"""The points of a space, and the trials of each: everything that is decided before training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipeline.config.build import to_dict
from pipeline.config.jobs.ose_search import OseSearchJob
from pipeline.config.keys import config_hash, decisions
from pipeline.config.sections.model import ArchitectureConfig, ModelConfig
from pipeline.config.sections.search_space import architecture_of
from pipeline.config.sections.sweep import StudentConfig
from pipeline.models.families import family_of
from pipeline.stages.job import OpenedJob
from pipeline.stages.prepare_data import key_of
from pipeline.stages.sweep.plan.students import StudentPlan, as_decided, layer_maps, plan_student
from pipeline.stages.teacher.fine_tune import teacher_key

OF_EVALUATION = ["split", "max_examples", "max_validation_examples"]


@dataclass(frozen=True, kw_only=True)
class Point:
    """An architecture of a space: a student of the teacher, or a model from scratch.

    Args:
        name: what a person calls it.
        student: of the kind students.
        architecture: of the kind models.
        has_decoder: whether its architecture's decoder is one; else it is an encoder alone.
    """

    name: str
    student: StudentConfig | None = None
    architecture: ArchitectureConfig | None = None
    has_decoder: bool = True

    @property
    def settings(self) -> dict[str, Any]:
        """What decides it, as people set it."""
        settings: dict[str, Any] = to_dict(self.student or self.architecture)
        return {name: value for name, value in settings.items() if self.has_decoder or name != "decoder_layers"}


@dataclass(frozen=True, kw_only=True)
class TrialPlan:
    """One point under one learning rate and one seed.

    Args:
        point: name of the point.
        name: its own, for people.
        key: of what is seen of it, and of its run.
        seed: of its batches and its dropout, of a model from scratch also of its weights.
        learning_rate: its peak.
        folder: where what is seen of it lies.
        student: the student that is trained; none of the kind models.
        model: the model that is trained; none of the kind students.
    """

    point: str
    name: str
    key: str
    seed: int
    learning_rate: float
    folder: Path
    student: StudentPlan | None = None
    model: ModelConfig | None = None


def points_of(config: OseSearchJob) -> list[Point]:
    """The points of the space, as it lists them."""
    search = config.search
    if search.kind == "models":
        return [model_point(model_name(values), values, config) for values in search.models.points()]
    return [Point(name=student.name, student=student) for student in search.students.points()]


def model_point(name: str, values: dict[str, int], config: OseSearchJob) -> Point:
    """A model from scratch as a point.

    Args:
        name: what a person calls it.
        values: its architectural parameters; of an encoder alone without a depth of a decoder.
        config: the job, which says the rest.
    """
    architecture = architecture_of(values, config.model.architecture)
    return Point(name=name, architecture=architecture, has_decoder="decoder_layers" in values)


def model_of(job: OpenedJob[OseSearchJob], architecture: ArchitectureConfig) -> ModelConfig:
    """The model from scratch of an architecture: of the teacher's family, also where that one is pre-trained."""
    family = family_of(job.model_config).name
    return replace(job.config.model, pretrained=None, family=family, architecture=architecture)


def model_name(values: dict[str, int]) -> str:
    """What a person calls a model from scratch, e.g. `4 layers 8 heads 1024 768`."""
    layers = "-".join(str(values[name]) for name in ("encoder_layers", "decoder_layers") if name in values)
    return f"{layers} layers {values['heads']} heads {values['hidden']} {values['intermediate']}"


def needs_teacher(config: OseSearchJob) -> bool:
    """Whether candidates are cut from a teacher, or learn from one."""
    return config.search.kind != "models" or config.search.distil


def trials_key(job: OpenedJob[OseSearchJob]) -> str:
    """The name of all trials of one way of training: of teacher, data, recipe and schedule, not of the space."""
    config, task = job.config, job.task
    start = teacher_key(config, task) if needs_teacher(config) else _untaught(job)
    return config_hash(
        start,
        decisions(config.recipe) if needs_teacher(config) else None,
        decisions(config.student),
        (config.search.distil, config.search.measure),
    )


def _untaught(job: OpenedJob[OseSearchJob]) -> str:
    """What models from scratch have in common that learn from references alone."""
    config, task = job.config, job.task
    return config_hash(
        task.fingerprint,
        decisions(config.task, without=["corpus"]),
        (family_of(job.model_config).name, key_of(task.tokenizer_folder)),
        decisions(config.evaluation, only=OF_EVALUATION),
        config.cluster.precision,
    )


def plan_trials(job: OpenedJob[OseSearchJob], points: Sequence[Point]) -> list[TrialPlan]:
    """All trials of some points: learning rates outside, points inside, as published; seeds innermost.

    Raises:
        UserError: a depth that the teacher does not have, a recipe that cannot be.
    """
    config, key = job.config, trials_key(job)
    rates, seeds = config.search.learning_rates or [config.student.learning_rate], config.search.seed_list(config.seed)
    students = {one.name: as_decided(one.student, config.recipe) for one in points if one.student is not None}
    maps = dict(zip(students, layer_maps(list(students.values()), job.model_config), strict=True))
    trials = []
    for rate in rates:
        for point in points:
            for seed in seeds:
                many = (f" lr={rate:g}" if len(rates) > 1 else "") + (f" seed={seed}" if len(seeds) > 1 else "")
                decided = decisions(students.get(point.name, point.architecture))
                trial_key = config_hash(key, decided, seed, rate)
                plan = TrialPlan(
                    point=point.name,
                    name=point.name + many,
                    key=trial_key,
                    seed=seed,
                    learning_rate=rate,
                    folder=job.storage.trials(key) / trial_key,
                )
                if point.architecture is not None:
                    plan = replace(plan, model=model_of(job, point.architecture))
                else:
                    student = plan_student(
                        config,
                        replace(
                            students[point.name],
                            distil=config.search.distil,
                            learning_rate=rate if len(rates) > 1 else None,  # names tell learners of a group apart
                        ),
                        maps[point.name],
                        key=trial_key,
                        seed=seed,
                        shows_seed=len(seeds) > 1,
                        folder=plan.folder,
                    )
                    plan = replace(plan, student=replace(student, learning_rate=rate))
                trials.append(plan)
    return trials
