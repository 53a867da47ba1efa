"""What of a comparison is known to be wrong before anything heavy is imported."""

from __future__ import annotations

from pipeline.config.errors import Mistakes, UserError
from pipeline.config.jobs.compare import CompareJob


def check_comparison(config: CompareJob, mistakes: Mistakes | None = None) -> None:
    """Refuse a comparison of fewer than two runs.

    Raises:
        UserError: as said.
    """
    mistakes = mistakes or Mistakes()
    if not (mistakes.concern("comparison") or (config.comparison.first and config.comparison.second)):
        example = "write python jobs/compare.py RUN_A RUN_B"
        mistakes.add(UserError("fewer than two runs", "two run ids or run names", example), "comparison")
    mistakes.tell()
