"""What of a job is known to be wrong without torch, transformers, Ray and MLflow: said at once, and all of it.

Every check may be given the mistakes of the configuration; it leaves out what depends on settings that they concern,
and tells them together with its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pipeline.config.errors import Mistakes, UserError
from pipeline.config.objectives import OBJECTIVES
from pipeline.config.schema import JobConfig
from pipeline.config.sweep import StudentConfig
from pipeline.config.task import CorpusConfig
from pipeline.data.column_names import check_columns
from pipeline.data.split_paths import check_split_names, split_paths
from pipeline.data.text_records import text_records
from pipeline.distillation.layer_map import student_maps
from pipeline.models.starting_point import check_family, local_folder, starting_point
from pipeline.runtime.outputs import check_output
from pipeline.stages.fitting import check_fit, check_student, for_each
from pipeline.stages.student_path import student_path
from pipeline.storage.layout import check_path, personal_path

# What of a task decides whether a model is one for it.
OF_FIT = ("task.objective", "task.max_source_tokens", "task.max_target_tokens", "task.decoding")


def check_teacher(config: JobConfig, mistakes: Mistakes | None = None) -> None:
    """Refuse a teacher that cannot be.

    Raises:
        UserError: whatever settings, paths and the model's own configuration tell.
    """
    mistakes = mistakes or Mistakes()
    _check_surroundings(config, mistakes)
    _check_model(config, [], mistakes)
    mistakes.tell()


def check_sweep(config: JobConfig, mistakes: Mistakes | None = None) -> None:
    """The same of a sweep: also its students.

    Raises:
        UserError: as said.
    """
    mistakes = mistakes or Mistakes()
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
    _check_surroundings(config, mistakes)
    _check_model(config, students if has_students else [], mistakes)
    with mistakes.noted():
        for_each(students, lambda student: check_student(config, student))
    mistakes.tell()


def check_comparison(config: JobConfig, mistakes: Mistakes | None = None) -> None:
    """Refuse a comparison of fewer than two runs.

    Raises:
        UserError: as said.
    """
    mistakes = mistakes or Mistakes()
    if not (mistakes.concern("comparison") or (config.comparison.first and config.comparison.second)):
        example = "write python jobs/compare.py RUN_A RUN_B"
        mistakes.add(UserError("fewer than two runs", "two run ids or run names", example), "comparison")
    mistakes.tell()


def check_export(config: JobConfig, mistakes: Mistakes | None = None) -> None:
    """Refuse an export of nothing.

    Raises:
        UserError: no student, or a path to nothing.
    """
    mistakes = mistakes or Mistakes()
    if not mistakes.concern("export.model"):
        with mistakes.noted("export.model"):
            student_path(config.export.model)
    mistakes.tell()


def check_generation(config: JobConfig, mistakes: Mistakes | None = None) -> None:
    """Refuse answers of nobody, or to nowhere.

    Raises:
        UserError: no student, a path to nothing, or an output that cannot be written.
    """
    mistakes, output = mistakes or Mistakes(), config.generate.output
    if not mistakes.concern("generate.model"):
        with mistakes.noted("generate.model"):
            student_path(config.generate.model)
    if output is not None:
        with mistakes.noted("generate.output"):
            check_output(personal_path(output))
    mistakes.tell()


def check_benchmark(config: JobConfig, mistakes: Mistakes | None = None) -> None:
    """Refuse a benchmark of students that its teacher cannot have.

    Raises:
        UserError: another family, or depths beyond the teacher's layers.
    """
    mistakes, settings = mistakes or Mistakes(), config.benchmark
    depths = {
        "generation": [settings.depth],
        "cohort": settings.depths,
        "runtime": settings.runtime.depths,
        "parity": [settings.parity.depth],
    }[settings.kind]
    if not (mistakes.concern("benchmark") or mistakes.concern("model")):
        with mistakes.noted():
            if (start := starting_point(config.model)) is not None:
                students = [StudentConfig(depth=depth) for depth in depths]
                for_each(students, lambda one: student_maps(one, start.num_layers))
    mistakes.tell()


def _check_model(config: JobConfig, students: list[StudentConfig], mistakes: Mistakes) -> None:
    """The model's own folder, and, where the task is known, whether it is a model for it."""
    if mistakes.concern("model"):
        return
    with mistakes.noted("model"):
        start = starting_point(config.model)
        if start is not None and not any(map(mistakes.concern, OF_FIT)):
            check_fit(start, config, students)


def _check_columns(paths: Mapping[str, Path], corpus: CorpusConfig) -> None:
    """Columns of text files; those of others are known later, and so is what else is wrong with the rows."""
    found = {split: text_records(path) for split, path in paths.items()}
    records = {
        split: rows for split, rows in found.items() if rows is not None and any(row for _, row in rows.rows(()))
    }
    if len(records) == len(found):
        check_columns(records, corpus)


def _check_surroundings(config: JobConfig, mistakes: Mistakes) -> None:
    """Paths that settings name."""
    task, data = config.task, config.data
    taken = {name for name, share in (("validation", data.split_validation), ("test", data.split_test)) if share}
    if not mistakes.concern("storage.path"):
        with mistakes.noted("storage.path"):
            check_path(config.storage.path)
    if not (mistakes.concern("task.corpus") or mistakes.concern("data")):
        with mistakes.noted("data"):
            check_split_names(task.corpus)
            if task.corpus.kind == "files":
                read = {name: path for name, path in task.corpus.files.items() if name not in taken}
                _check_columns(split_paths(read, Path(data.root)), task.corpus)
    if config.model.tokenizer and not mistakes.concern("model.tokenizer"):
        with mistakes.noted():
            local_folder(config.model.tokenizer, "model.tokenizer")
    for family in task.family_prefixes:
        with mistakes.noted():
            check_family(family, "task.family_prefixes")
