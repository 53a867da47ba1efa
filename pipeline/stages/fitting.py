"""Tasks and students that a model can have: known from settings and from the model's own configuration."""

from __future__ import annotations

from collections.abc import Callable

from pipeline.config.build import changed
from pipeline.config.errors import Mistakes, UserError
from pipeline.config.objectives import ModelKind
from pipeline.config.recipe import DECODER_TERMS, RecipeConfig
from pipeline.config.schema import JobConfig
from pipeline.config.sweep import StudentConfig
from pipeline.config.task import TaskConfig
from pipeline.distillation.layer_map import student_maps
from pipeline.models.starting_point import StartingPoint, families_of_kind
from pipeline.quantization.settings import check_settings, schedule_entries

# What to change where a task needs a model of a kind.
OTHER_MODELS: dict[ModelKind, str] = {
    "seq2seq": "set model, e.g. model=seed, or model.pretrained or model.family; or choose a task with labels",
    "classifier": "set experiment=small_classification task={task}, which trains a small one from scratch; or "
    "model=tiny_encoder or model=roberta-base, with students of one number of layers, e.g. sweep.depths=[2]",
}
LONGER = {"tiny": 256, "bart-base": 1024}  # models of conf/model for texts that messages name, and their positions


def for_each(students: list[StudentConfig], check: Callable[[StudentConfig], object]) -> None:
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


def check_fit(start: StartingPoint, config: JobConfig, students: list[StudentConfig]) -> None:
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


def _check_objective(start: StartingPoint, config: JobConfig) -> None:
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


def _check_positions(start: StartingPoint, config: JobConfig) -> None:
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


def check_student(config: JobConfig, student: StudentConfig) -> None:
    """Refuse settings of a student that do not go together.

    Raises:
        UserError: changes of the recipe that the schema does not allow, quantizers or a schedule that do not go
            together, heads that cannot be removed, or what a model without a decoder cannot be asked for.
    """
    recipe, mistakes = config.recipe_of(student), Mistakes()
    with mistakes.noted():
        check_settings(student.scheme, recipe.quantization)
    with mistakes.noted():
        for _, _, scheme in schedule_entries(recipe.schedule):
            check_settings(scheme, recipe.quantization)
    with mistakes.noted():
        _check_heads(config, student, recipe)
    with mistakes.noted():
        _check_encoder_alone(config, student, recipe)
    mistakes.tell()


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
    if recipe.quantization.weight_granularity.startswith("group"):
        raise UserError(
            f"student '{student.name}' with {recipe.quantization.weight_granularity}",
            "per_row or per_tensor where heads are removed: what is left of a row is not whole groups",
            "set recipe.quantization.weight_granularity=per_row, or heads=1",
        )


def _check_encoder_alone(config: JobConfig, student: StudentConfig, recipe: RecipeConfig) -> None:
    """What a model without a decoder cannot be asked for."""
    facts = config.task.facts
    if facts.has_decoder or not student.distil:
        return
    if recipe.distillation.reduction == "tensor":
        raise UserError(
            f"student '{student.name}', a {facts.model}, with reduction=tensor",
            "token; the published losses are those of a model with a decoder",
            "set recipe=best",
        )
    if recipe.sequence.kind != "none":
        raise UserError(
            f"student '{student.name}', a {facts.model}, with recipe.sequence.kind={recipe.sequence.kind}",
            f"none: a {facts.model} writes no texts",
            "set recipe.sequence.kind=none",
        )
    changed(recipe.distillation, dict.fromkeys(DECODER_TERMS, 0.0), "recipe.distillation")  # something must be left
