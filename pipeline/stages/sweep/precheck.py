"""What of a sweep is known to be wrong before anything heavy is imported: also of its students."""

from __future__ import annotations

from pipeline.config.changes import changed
from pipeline.config.errors import Mistakes, UserError
from pipeline.config.jobs import DistilsStudents
from pipeline.config.jobs.dq_sweep import SweepJob
from pipeline.config.objectives import OBJECTIVES
from pipeline.config.sections.recipe import DECODER_TERMS, LAYER_TERMS, DistillationConfig, RecipeConfig
from pipeline.config.sections.sweep import StudentConfig
from pipeline.quantization.settings import check_settings, schedule_entries
from pipeline.stages.fitting import for_each
from pipeline.stages.precheck import check_model, check_surroundings
from pipeline.stages.sweep.plan.found_students import with_found_students


def check_sweep(config: SweepJob, mistakes: Mistakes | None = None) -> None:
    """Refuse a sweep that cannot be.

    Raises:
        UserError: whatever settings, paths and the model's own configuration tell.
    """
    mistakes = mistakes or Mistakes()
    with mistakes.noted("sweep"):
        config = with_found_students(config)
    students = [] if mistakes.concern("sweep") or mistakes.concern("recipe") else config.sweep.points()
    objective, has_students = config.task.objective, config.task.facts.has_students
    if not has_students:
        others = [name for name, facts in OBJECTIVES.items() if facts.has_students]
        error = UserError(
            f"task.objective={objective} in a sweep",
            f"{' or '.join(others)}; {objective} is for jobs/finetune_teacher.py",
            f"set task.objective={others[0]}",
        )
        mistakes.add(error, "sweep")
    check_surroundings(config, mistakes)
    check_model(config, students if has_students else [], mistakes)
    with mistakes.noted():
        for_each(students, lambda student: check_student(config, student))
    mistakes.tell()


def check_student(config: DistilsStudents, student: StudentConfig) -> None:
    """Refuse settings of a student that do not go together.

    Raises:
        UserError: changes of the recipe that the schema does not allow, quantizers or a schedule that do not go
            together, heads that cannot be removed, or what a model without a decoder cannot be asked for.
    """
    recipe, mistakes = student.recipe_under(config.recipe), Mistakes()
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


def check_other_shape(who: str, distillation: DistillationConfig, way_out: str) -> None:
    """Refuse losses of which nothing is left for a model of another shape than its teacher's, which imitates logits.

    Args:
        who: has these losses.
        distillation: the losses.
        way_out: what to set where no teacher is wanted.

    Raises:
        UserError: as said.
    """
    if distillation.reduction == "tensor":
        raise UserError(
            f"{who} with recipe.distillation.reduction=tensor",
            "token; the published losses compare layers, which models of other shapes do not have",
            f"set recipe=best, or {way_out}",
        )
    if not (distillation.task or distillation.logits):
        compared = ", ".join(name for name in LAYER_TERMS if getattr(distillation, name))
        raise UserError(
            f"{who} with recipe.distillation.task=0 and logits=0, so that {compared} are left, which compare layers "
            "that models of other shapes do not have",
            "task or logits above 0",
            f"set recipe.distillation.logits=1, or {way_out}",
        )


def _check_heads(config: DistilsStudents, student: StudentConfig, recipe: RecipeConfig) -> None:
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


def _check_encoder_alone(config: DistilsStudents, student: StudentConfig, recipe: RecipeConfig) -> None:
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
