"""What of a search is known to be wrong before anything heavy is imported: also of its points."""

from __future__ import annotations

from pipeline.config.errors import Mistakes, UserError
from pipeline.config.jobs.ose_search import OseSearchJob
from pipeline.config.objectives import OBJECTIVES
from pipeline.config.sections.sweep import StudentConfig
from pipeline.stages.fitting import for_each
from pipeline.stages.precheck import check_model, check_surroundings
from pipeline.stages.sweep.precheck import check_other_shape, check_student


def check_search(config: OseSearchJob, mistakes: Mistakes | None = None) -> None:
    """Refuse a search that cannot be.

    Raises:
        UserError: whatever settings, paths and the model's own configuration tell.
    """
    mistakes = mistakes or Mistakes()
    is_known = not mistakes.concern("search") and not mistakes.concern("recipe")
    students = searched_students(config) if is_known else []
    check_surroundings(config, mistakes)
    check_model(config, students, mistakes)
    with mistakes.noted():
        for_each(students, lambda student: check_student(config, student))
    if is_known:
        with mistakes.noted():
            _check_objective(config)
        with mistakes.noted():
            _check_models(config)
        with mistakes.noted():
            _check_mixed(config)
        with mistakes.noted():
            _check_steps(config)
    mistakes.tell()


def searched_students(config: OseSearchJob) -> list[StudentConfig]:
    """The students that are tried: of the kind mixed_bits its one, at each number of bits."""
    search = config.search
    if search.kind == "students":
        return search.students.points()
    schemes = [f"{bits:g}-{bits:g}-{search.mixed.activation_bits}" for bits in search.mixed.bits]
    return [StudentConfig(scheme=s, depth=search.mixed.depth) for s in schemes] if search.kind == "mixed_bits" else []


def _check_objective(config: OseSearchJob) -> None:
    search, task = config.search, config.task
    if not task.facts.has_students and (search.kind != "models" or search.distil):
        others = [name for name, facts in OBJECTIVES.items() if facts.has_students]
        raise UserError(
            f"task.objective={task.objective} with search.kind={search.kind} and search.distil={search.distil}",
            f"{' or '.join(others)}; {task.objective} is for models from scratch without a teacher",
            "set search.kind=models and search.distil=false, or choose another task",
        )
    if search.measure == "score" and not task.facts.has_references:
        raise UserError(
            f"search.measure=score with task.objective={task.objective}, which has no references",
            "loss",
            "set search.measure=loss",
        )


def _check_models(config: OseSearchJob) -> None:
    if config.search.kind == "models" and config.search.distil:
        check_other_shape("search.kind=models", config.recipe.distillation, "search.distil=false")


def _check_mixed(config: OseSearchJob) -> None:
    """Refuse what a search for bits would leave aside: it trains one student once, and its budget is its own."""
    search, mistakes = config.search, Mistakes()
    if search.kind != "mixed_bits":
        return
    left_aside = {
        "recipe.quantization.bits": config.recipe.quantization.bits,
        "search.seeds": search.seed_list(config.seed) != [config.seed] and search.seeds,
        "search.learning_rates": search.learning_rates,
        "search.max_ms": search.max_ms,
    }
    for name, value in left_aside.items():
        if value:
            mistakes.add(
                UserError(
                    f"{name}={value} with search.kind=mixed_bits, which would not look at it",
                    "one student, the job's seed, one learning rate, search.mixed.bits for all modules, no max_ms",
                    f"leave {name} out, or choose another search.kind",
                )
            )
    if search.max_mib is not None and search.mixed.max_mib > search.max_mib:
        mistakes.add(
            UserError(
                f"search.mixed.max_mib={search.mixed.max_mib:g} with search.max_mib={search.max_mib:g}",
                "a budget within the limit of the answer",
                "lower search.mixed.max_mib, or set search.max_mib=null",
            )
        )
    mistakes.tell()


def _check_steps(config: OseSearchJob) -> None:
    most, last = config.student.max_steps, config.search.steps[-1]
    if most is not None and last > most:
        raise UserError(
            f"search.steps={config.search.steps} beyond student.max_steps={most}",
            f"steps up to {most}: candidates see the first steps of that training",
            "lower search.steps, or raise student.max_steps",
        )
