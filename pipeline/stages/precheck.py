"""What of a job is known to be wrong without torch, transformers, Ray and MLflow: said at once, and all of it.

Every check may be given the mistakes of the configuration; it leaves out what depends on settings that they concern,
and tells them together with its own. Here is what jobs that train a teacher share; each has a `precheck` of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pipeline.config.errors import Mistakes
from pipeline.config.jobs import TrainsTeacher
from pipeline.config.sections.sweep import StudentConfig
from pipeline.config.sections.task import CorpusConfig
from pipeline.data.column_names import check_columns
from pipeline.data.foreign_code import check_folder_has_no_code
from pipeline.data.split_paths import check_split_names, split_paths
from pipeline.data.text_records import text_records
from pipeline.models.starting_point import check_family, local_folder, starting_point
from pipeline.stages.fitting import check_fit
from pipeline.storage.layout import check_path

# What of a task decides whether a model is one for it.
OF_FIT = ("task.objective", "task.max_source_tokens", "task.max_target_tokens", "task.decoding")


def check_model(config: TrainsTeacher, students: list[StudentConfig], mistakes: Mistakes) -> None:
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


def check_surroundings(config: TrainsTeacher, mistakes: Mistakes) -> None:
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
            folder = local_folder(config.model.tokenizer, "model.tokenizer")
            if folder is not None:
                check_folder_has_no_code(folder, config.model.tokenizer)
    for family in task.family_prefixes:
        with mistakes.noted():
            check_family(family, "task.family_prefixes")
