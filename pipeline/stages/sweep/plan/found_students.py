"""Students that a finished search has chosen, as students of a sweep."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from pipeline.config.errors import UserError
from pipeline.config.jobs.dq_sweep import SweepJob
from pipeline.config.keys import config_hash, decisions
from pipeline.stages.finished_search import chosen_students, read_finished
from pipeline.storage.layout import Storage, personal_path

if TYPE_CHECKING:
    from pipeline.stages.job import OpenedJob

log = logging.getLogger(__name__)


def with_found_students(config: SweepJob) -> SweepJob:
    """The configuration with the students of the search that it names before its own; as it is where it names none.

    Raises:
        UserError: no such search, or one that is not about students.
    """
    if not config.sweep.search:
        return config
    storage = Storage(root=personal_path(config.storage.path).absolute())
    found = chosen_students(read_finished(storage, config.sweep.search))
    students = {student.name: student for student in [*found, *config.sweep.students]}
    return replace(config, sweep=replace(config.sweep, students=list(students.values())))


def check_found_students(job: OpenedJob[SweepJob]) -> None:
    """Refuse the answer of a search on other data; of another recipe it is said.

    Raises:
        UserError: the examples are others.
    """
    config = job.config
    if not config.sweep.search:
        return
    search = read_finished(job.storage, config.sweep.search)
    if search.data != job.task.fingerprint:
        raise UserError(
            f"sweep.search={search.name}, a search on other data ({search.data} of task {search.task}, these are "
            f"{job.task.fingerprint} of {config.task.name})",
            "a search on the examples that the sweep trains on",
            "submit the search again with these data, or give students in sweep.students",
        )
    if search.recipe != config_hash(decisions(config.recipe)):
        log.warning(f"search {search.name} tried its candidates with another recipe than this one")
