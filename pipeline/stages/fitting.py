"""Tasks and students that a model can have: known from settings and from the model's own configuration."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pipeline.config.errors import Mistakes, UserError
from pipeline.config.jobs import TrainsTeacher
from pipeline.config.objectives import ModelKind
from pipeline.config.sections.sweep import StudentConfig
from pipeline.config.sections.task import TaskConfig
from pipeline.distillation.layer_map import student_maps
from pipeline.models.starting_point import StartingPoint, families_of_kind

# What to change where a task needs a model of a kind.
OTHER_MODELS: dict[ModelKind, str] = {
    "seq2seq": "set model, e.g. model=seed, or model.pretrained or model.family; or choose a task with labels",
    "classifier": "set experiment=small_classification task={task}, which trains a small one from scratch; or "
    "model=tiny_encoder or model=roberta-base, with students of one number of layers, e.g. sweep.depths=[2]",
    "masked LM": "set model, e.g. model=tiny_encoder or model=roberta-base, or model.family=bert for one from scratch",
}
LONGER = {"tiny": 256, "bart-base": 1024}  # models of conf/model for texts that messages name, and their positions


def for_each(students: Sequence[StudentConfig], check: Callable[[StudentConfig], object]) -> None:
    """A check of every student; the same mistake of several is told of the first one.

    Raises:
        UserError: as the check says.
    """
    found: dict[tuple[str, str, str], UserError] = {}
    for student in students:
        try:
            check(student)
        except UserError as error:
            for one in error.errors:
                found.setdefault((one.given.replace(student.name, ""), one.allowed, one.change), one)
    mistakes = Mistakes()
    for first in found.values():
        mistakes.add(first)
    mistakes.tell()


def check_fit(start: StartingPoint, config: TrainsTeacher, students: Sequence[StudentConfig] = ()) -> None:
    """Refuse a task or students that a model cannot have.

    Args:
        start: the model.
        config: the job.
        students: those of a sweep, if it is one.

    Raises:
        UserError: another objective than the model's, lengths beyond its positions, depths beyond its layers.
    """
    _check_objective(start, config)  # of another kind of model, lengths and depths are no matter
    mistakes = Mistakes()
    with mistakes.noted():
        _check_positions(start, config)
    with mistakes.noted():
        for_each(students, lambda student: student_maps(student, start.num_layers))
    mistakes.tell()


def _check_objective(start: StartingPoint, config: TrainsTeacher) -> None:
    """Every objective needs a model of its kind."""
    kind = config.task.facts.model
    suitable = families_of_kind(kind)
    if start.family in suitable:
        return
    raise UserError(
        f"model {config.model.name} of the family {start.family} for task.objective={config.task.objective}",
        f"one of {', '.join(suitable)}",
        OTHER_MODELS[kind].format(task=config.task.name),
    )


def _check_positions(start: StartingPoint, config: TrainsTeacher) -> None:
    """No text may be longer than the model's positions."""
    limits = _limits(config.task)
    most = max(limits.values())
    if start.num_positions is None or most <= start.num_positions:
        return
    beyond = {key: limit for key, limit in limits.items() if limit > start.num_positions}
    shorter = " ".join(f"{key}={start.num_positions}" for key in beyond)
    if not config.task.facts.has_decoder:
        change = f"set {shorter}, or a longer model"
    elif not config.model.pretrained:
        change = f"set model.architecture.max_positions={most}, or cut texts: {shorter}"
    else:
        models = [f"model={name} ({positions})" for name, positions in LONGER.items() if positions >= most]
        change = f"take a longer model: {', '.join([*models, 'or model.pretrained'])}; or set {shorter}"
        if config.experiment is None and list(beyond) == ["task.max_source_tokens"]:
            change += f", as experiment=small_texts task={config.task.name} does, which trains in minutes"
    raise UserError(
        ", ".join(f"{key}={limit}" for key, limit in beyond.items()),
        f"at most {start.num_positions}, the positions of model {config.model.name}",
        change,
    )


def _limits(task: TaskConfig) -> dict[str, int]:
    limits = {"task.max_source_tokens": task.max_source_tokens}
    if task.facts.has_decoder:
        limits["task.max_target_tokens"] = task.max_target_tokens
        limits["task.decoding.max_length"] = task.decoding.max_length
    return limits
