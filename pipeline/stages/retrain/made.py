"""What nights of one name have made outside their folder and nobody refers to any more.

The ledger names the teacher and the sweep of every night that came to a candidate. A run in MLflow says which files
were read when they were made: one that another job had made before has other files, and one that another job has used
since is named by a run of that job. What only one of both says to be a night's stays.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline.serving.logged_models import DIGEST, model_name
from pipeline.storage.layout import Storage
from pipeline.tracking.everywhere import runs_where, runs_with_alias
from pipeline.tracking.tracker import FoundRun, Tracker

Keys = Mapping[str, Collection[str]]  # kind of a run -> keys of folders
ROOT, PRETRAINED = "data.root", "model.pretrained"  # parameters of runs


@dataclass(frozen=True, kw_only=True)
class Made:
    """Folders that may go.

    Args:
        teachers: of fine-tuned teachers.
        sweeps: of sweeps, with checkpoints and students.
        models: copies in the cache: teachers that a sweep began with, students that were downloaded.
    """

    teachers: list[Path]
    sweeps: list[Path]
    models: list[Path]


def made_by_nights(
    tracker: Tracker, storage: Storage, nights: Path, kept: Collection[str], needed: Collection[str], over: Keys
) -> Made:
    """What nights that are over have made and nobody refers to.

    Args:
        tracker: of the store with their runs.
        storage: where teachers, sweeps and the cache lie.
        nights: the folder with the nights' folders.
        kept: names of those whose nights are not over.
        needed: folders of teachers' models, and ids of students' runs, that are kept whatever runs say.
        over: sweeps and teachers that the ledger names of nights that are over, and of no other.
    """
    if "'" in str(nights) or "\\" in str(nights):  # no condition of MLflow can be about them
        return Made(teachers=[], sweeps=[], models=[])
    search = _Search(tracker, storage, nights, kept, {*needed, *runs_with_alias(tracker.client)})
    of_nights = runs_where(tracker.client, f"params.`{ROOT}` LIKE '{nights}/%'")
    old = [
        run
        for run in of_nights
        if search.is_old(run) and run.tags.get("dq.key") in over.get(run.tags.get("dq.kind", ""), ())
    ]
    sweeps = {run.run_id: run for run in old if run.tags.get("dq.kind") == "sweep" and not search.students_needed(run)}
    teachers = [run for run in old if is_teacher(run) and not search.teacher_needed(run, sweeps)]
    models = [path for run in (*sweeps.values(), *teachers) for path in search.copies(run, sweeps)]
    return Made(
        teachers=_there(storage.teacher(run.tags["dq.key"]) for run in teachers),
        sweeps=_there(storage.sweep(run.tags["dq.key"]) for run in sweeps.values()),
        models=_there(models),
    )


class _Search:
    """Who refers to what."""

    def __init__(
        self, tracker: Tracker, storage: Storage, nights: Path, kept: Collection[str], needed: Collection[str]
    ) -> None:
        self.tracker, self.storage, self.nights, self.kept, self.needed = tracker, storage, nights, kept, needed

    def is_old(self, run: FoundRun) -> bool:
        """Whether a run is of a night that is over; those of other jobs are not."""
        root = Path(run.params.get(ROOT, ""))
        return self.nights in root.parents and root.relative_to(self.nights).parts[0] not in self.kept

    def students_needed(self, sweep: FoundRun) -> bool:
        """Whether a student of a sweep is a version with an alias, or another job's."""
        students = runs_where(self.tracker.client, f"tags.`mlflow.parentRunId` = '{sweep.run_id}'")
        return any(one.run_id in self.needed or not self.is_old(one) for one in students)

    def teacher_needed(self, teacher: FoundRun, sweeps: Collection[str]) -> bool:
        """Whether anybody but sweeps that go has a teacher."""
        folder = self.storage.teacher(teacher.tags["dq.key"])
        if any(folder in Path(one).parents for one in self.needed):
            return True
        return any(
            not self.goes(run, sweeps)
            for run in runs_where(self.tracker.client, f"tags.`dq.teacher_run` = '{teacher.run_id}'")
        )

    def goes(self, run: FoundRun, sweeps: Collection[str]) -> bool:
        """Whether a run is of an old night, and its sweep's folder is removed."""
        return self.is_old(run) and bool({run.run_id, run.tags.get("mlflow.parentRunId")} & set(sweeps))

    def copies(self, run: FoundRun, sweeps: Collection[str]) -> list[Path]:
        """What the cache holds for a run: the model that it began with, and its students as they were downloaded."""
        found, models = [], self.storage.cache / "models"
        begun = Path(run.params.get(PRETRAINED, ""))
        if begun.parent == models and "'" not in str(begun):
            users = runs_where(self.tracker.client, f"params.`{PRETRAINED}` = '{begun}'")
            if all(
                self.goes(one, sweeps) or (one.tags.get("dq.kind") == "teacher" and self.is_old(one)) for one in users
            ):
                found.append(begun)
        if run.run_id in sweeps:
            for student in runs_where(self.tracker.client, f"tags.`mlflow.parentRunId` = '{run.run_id}'"):
                logged = [one for one in self.tracker.logged_models(student.run_id) if DIGEST in one.tags]
                found += [models / f"{model_name(one.name)}-{one.tags[DIGEST][:16]}" for one in logged]
        return found


def is_teacher(run: FoundRun) -> bool:
    """Whether a run is a teacher's: once it is trained, what it began with is of no use to it."""
    return run.tags.get("dq.kind") == "teacher"


def _there(folders: Iterable[Path]) -> list[Path]:
    return sorted({folder for folder in folders if folder.is_dir()})
