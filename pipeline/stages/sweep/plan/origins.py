"""Whose weights a student has that is quantized without training: its teacher's, or those of a trained student."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.config.errors import Mistakes, UserError
from pipeline.config.sections.recipe import RecipeConfig
from pipeline.config.sections.sweep import StudentConfig


def origin_of(
    student: StudentConfig,
    maps: tuple[list[int], list[int]],
    points: Sequence[StudentConfig],
    num_layers: tuple[int, int],
    recipe: RecipeConfig,
) -> StudentConfig | None:
    """The student in full precision that another one is, quantized; none where that is the teacher.

    What keeps every layer and head of its teacher has nothing to learn before it is quantized. What keeps less would
    fail for what it lost, so it comes from a student that has learned to do without.

    Args:
        student: with `training=ptq`.
        maps: teacher layer of each of its encoder and decoder layers.
        points: the students of its sweep, all `as_decided`.
        num_layers: encoder and decoder layers of the teacher.
        recipe: the sweep's.

    Raises:
        UserError: no such student in the sweep; one that is quantized all the same; settings of a training that there
            is none of.
    """
    whole = [list(range(number)) for number in num_layers]
    if [*maps] == whole and student.heads == 1:
        _check_trains_nothing(student)
        return None
    plain = student.in_full_precision()
    if plain not in points:
        raise UserError(
            f"student '{student.name}' without '{plain.name}', which it is before it is quantized",
            "training=ptq for students that keep the whole teacher, and beside a student of the same sweep that "
            "differs in nothing but its scheme",
            f"add '{plain.name}' to sweep.students, or set training=qat",
        )
    if student.recipe_under(recipe).quantization.bits:
        raise UserError(
            f"student '{student.name}' with recipe.quantization.bits, which quantizes '{plain.name}', too",
            "one number of bits for all modules where a student is quantized without training",
            "leave recipe.quantization.bits out, or set training=qat",
        )
    return plain


def _check_trains_nothing(student: StudentConfig) -> None:
    """Refuse what would say how it is trained.

    Raises:
        UserError: every such setting.
    """
    mistakes = Mistakes()
    said = {
        "distil=false": not student.distil,
        f"learning_rate={student.learning_rate!r}": student.learning_rate is not None,
        **{f"recipe.{name}": True for name in student.recipe if name != "quantization"},
    }
    for setting in (setting for setting, is_said in said.items() if is_said):
        mistakes.add(
            UserError(
                f"student '{student.name}' with {setting}: it is the teacher, quantized, and nothing is trained",
                "recipe.quantization",
                "leave it out, or set training=qat",
            )
        )
    mistakes.tell()
