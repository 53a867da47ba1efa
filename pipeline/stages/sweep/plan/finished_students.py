"""Students that need not be trained: their run is finished and their package is whole, or they were given up."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from pipeline.config.errors import UserError
from pipeline.config.jobs.dq_sweep import SweepJob
from pipeline.export.package_manifest import MANIFEST, read_manifest
from pipeline.stages.runs import open_tracker
from pipeline.stages.sweep.plan.students import StudentPlan
from pipeline.storage.atomic import set_aside
from pipeline.tracking.tracker import FoundRun

log = logging.getLogger(__name__)


def students_done(config: SweepJob, plans: Sequence[StudentPlan], folder: Path) -> dict[str, FoundRun]:
    """Runs of students that are packed and scored, or were given up by the rule that still holds.

    Args:
        config: the job.
        plans: of all its students.
        folder: of the sweep, for people.

    Returns:
        key of a student -> its run.
    """
    tracker, already_done = open_tracker(config), {}
    for plan in plans:
        run = tracker.find("student", plan.key)
        packed = _is_packed(plan)
        if run is None:
            if packed:
                log.warning(
                    f"student {plan.name} lies packed in {folder}, but its run is not in the experiment "
                    f"'{config.tracking.experiment}': it is trained again, unless a deleted run is restored before"
                )
            continue
        if (run.finished and packed) or (run.stopped and config.sweep.stopping.rule != "none"):
            already_done[plan.key] = run
    return already_done


def _is_packed(plan: StudentPlan) -> bool:
    """Whether a student's package is there, as it was written; a damaged one is set aside."""
    if not (plan.packed_folder / MANIFEST).is_file():
        return False
    try:
        read_manifest(plan.packed_folder)  # and compare every file with its digest
    except UserError as damage:
        kept = set_aside(plan.packed_folder)
        log.warning(f"student {plan.name} is trained again: {damage.given}; its package is kept as {kept.name}")
        return False
    return True
