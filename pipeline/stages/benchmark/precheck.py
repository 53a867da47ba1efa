"""What of a benchmark is known to be wrong before anything heavy is imported."""

from __future__ import annotations

from pathlib import Path

from pipeline.config.errors import Mistakes
from pipeline.config.jobs.benchmark import BenchmarkJob
from pipeline.config.sections.sweep import StudentConfig
from pipeline.distillation.layer_map import student_maps
from pipeline.models.starting_point import starting_point
from pipeline.search.table_path import check_is_table
from pipeline.stages.fitting import for_each


def check_benchmark(config: BenchmarkJob, mistakes: Mistakes | None = None) -> None:
    """Refuse a benchmark of students that its teacher cannot have, or of a table that is not there.

    Raises:
        UserError: another family, depths beyond the teacher's layers, no table.
    """
    mistakes, settings = mistakes or Mistakes(), config.benchmark
    depths = {
        "generation": [settings.depth],
        "cohort": settings.depths,
        "runtime": settings.runtime.depths,
        "parity": [settings.parity.depth],
    }.get(settings.kind, [])
    if not (mistakes.concern("benchmark") or mistakes.concern("model")):
        with mistakes.noted():
            if (start := starting_point(config.model)) is not None:
                students = [StudentConfig(depth=depth) for depth in depths]
                for_each(students, lambda one: student_maps(one, start.num_layers))
    if settings.kind == "search" and not mistakes.concern("benchmark.search.table"):
        with mistakes.noted("benchmark.search.table"):
            check_is_table(Path(settings.search.table))
    mistakes.tell()
