"""What of a job is known to be wrong without torch, transformers, Ray and MLflow: said at once, and all of it."""

from __future__ import annotations

from pathlib import Path

from pipeline.config.errors import Mistakes, UserError
from pipeline.config.schema import JobConfig
from pipeline.config.sweep import StudentConfig
from pipeline.data.split_paths import check_split_names, split_paths
from pipeline.distillation.layer_map import student_maps
from pipeline.export.runtime.outputs import check_output
from pipeline.models.starting_point import check_family, local_folder, starting_point
from pipeline.stages.fitting import check_fit, check_student, for_each
from pipeline.stages.storage import check_path, personal_path
from pipeline.stages.student_path import student_path


def check_teacher(config: JobConfig) -> None:
    """Refuse a teacher that cannot be.

    Raises:
        UserError: whatever settings, paths and the model's own configuration tell.
    """
    mistakes = Mistakes()
    _check_surroundings(config, mistakes)
    with mistakes.noted():
        if (start := starting_point(config.model)) is not None:
            check_fit(start, config, [])
    mistakes.tell()


def check_sweep(config: JobConfig) -> None:
    """The same of a sweep: also its students.

    Raises:
        UserError: as said.
    """
    mistakes, students = Mistakes(), config.sweep.points()
    if config.task.objective == "denoising":
        error = UserError(
            "task.objective=denoising in a sweep",
            "supervised or classification; denoising is for jobs/finetune_teacher.py",
            "set task.objective=supervised",
        )
        mistakes.add(error, "task.objective")
    _check_surroundings(config, mistakes)
    with mistakes.noted():
        if (start := starting_point(config.model)) is not None:
            check_fit(start, config, [] if mistakes.concern("task.objective") else students)
    with mistakes.noted():
        for_each(students, lambda student: check_student(config, student))
    mistakes.tell()


def check_comparison(config: JobConfig) -> None:
    """Refuse a comparison of fewer than two runs.

    Raises:
        UserError: as said.
    """
    if not (config.comparison.first and config.comparison.second):
        raise UserError("fewer than two runs", "two run ids or run names", "write python jobs/compare.py RUN_A RUN_B")


def check_export(config: JobConfig) -> None:
    """Refuse an export of nothing.

    Raises:
        UserError: no student, or a path to nothing.
    """
    student_path(config.export.model)


def check_generation(config: JobConfig) -> None:
    """Refuse answers of nobody, or to nowhere.

    Raises:
        UserError: no student, a path to nothing, or an output that cannot be written.
    """
    mistakes, output = Mistakes(), config.generate.output
    with mistakes.noted():
        student_path(config.generate.model)
    if output is not None:
        with mistakes.noted():
            check_output(personal_path(output))
    mistakes.tell()


def check_benchmark(config: JobConfig) -> None:
    """Refuse a benchmark of students that its teacher cannot have.

    Raises:
        UserError: another family, or depths beyond the teacher's layers.
    """
    settings = config.benchmark
    depths = {
        "generation": [settings.depth],
        "cohort": settings.depths,
        "runtime": settings.runtime.depths,
        "parity": [settings.parity.depth],
    }[settings.kind]
    if (start := starting_point(config.model)) is not None:
        for_each([StudentConfig(depth=depth) for depth in depths], lambda one: student_maps(one, start.num_layers))


def _check_surroundings(config: JobConfig, mistakes: Mistakes) -> None:
    """Paths that settings name."""
    task, data = config.task, config.data
    taken = {name for name, share in (("validation", data.split_validation), ("test", data.split_test)) if share}
    with mistakes.noted():
        check_path(config.storage.path)
    with mistakes.noted():
        check_split_names(task.corpus)
        if task.corpus.kind == "files":
            split_paths({name: path for name, path in task.corpus.files.items() if name not in taken}, Path(data.root))
    if config.model.tokenizer:
        with mistakes.noted():
            local_folder(config.model.tokenizer, "model.tokenizer")
    for family in task.family_prefixes:
        with mistakes.noted():
            check_family(family, "task.family_prefixes")
