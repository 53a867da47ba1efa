"""What is known to be wrong with a student, or with where its answers shall go, before anything heavy is imported."""

from __future__ import annotations

from pipeline.config.errors import Mistakes
from pipeline.config.jobs.export import ExportJob
from pipeline.config.jobs.generate import GenerateJob
from pipeline.runtime.outputs import check_output
from pipeline.stages.student_path import student_path
from pipeline.storage.layout import personal_path


def check_export(config: ExportJob, mistakes: Mistakes | None = None) -> None:
    """Refuse an export of nothing.

    Raises:
        UserError: no student, or a path to nothing.
    """
    mistakes = mistakes or Mistakes()
    if not mistakes.concern("export.model"):
        with mistakes.noted("export.model"):
            student_path(config.export.model)
    mistakes.tell()


def check_generation(config: GenerateJob, mistakes: Mistakes | None = None) -> None:
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
