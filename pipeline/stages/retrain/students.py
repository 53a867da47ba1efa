"""Which students a night trains: those that are configured, else the champion's own, else the default of the schema."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

from pipeline.config.build import build, to_dict
from pipeline.config.changes import difference
from pipeline.config.errors import UserError
from pipeline.config.jobs.dq_sweep import SweepJob
from pipeline.config.jobs.retrain import RetrainJob
from pipeline.config.sections.sweep import StudentConfig, SweepConfig
from pipeline.stages.retrain.settings import names_students
from pipeline.stages.sweep.plan.found_students import with_found_students
from pipeline.tracking.retry import with_retries
from pipeline.tracking.tracker import Tracker

STUDENT = "dq.student"  # tag of a version: what its student is, as JSON of what differs from the schema's
FROM = "students_from"  # in the details of a line
# Settings that a student's run has as they were asked for; its layer maps there are those that came of them.
OF_RUN = {"scheme": str, "depth": str, "heads": float, "distil": bool, "label": str, "training": str}
OF_RUN |= {"learning_rate": float}


@dataclass(frozen=True, kw_only=True)
class Students:
    """What is trained tonight.

    Args:
        sweep: the job's, with these students.
        source: where they come from, in a sentence.
    """

    sweep: SweepConfig
    source: str


def students_tonight(config: RetrainJob, tracker: Tracker, champion: str | None) -> Students:
    """The students of a night.

    Args:
        config: the job.
        tracker: of the store with the registered model.
        champion: its version; none: there is none.

    Raises:
        UserError: nobody is configured, and the champion does not say what it is.
    """
    names = ", ".join(student.name for student in config.sweep.points())
    if names_students(config.sweep):
        named = f"{names} of the settings" if not config.sweep.search else f"those of the search {config.sweep.search}"
        return Students(sweep=config.sweep, source=f"students: {named} (sweep.*)")
    if champion is None:
        return Students(
            sweep=config.sweep,
            source=f"students: {names}, the default of the schema: sweep.students is empty, and there is no champion",
        )
    student = student_of(tracker, config.retrain.name, champion)
    source = f"students: {student.name}, as the champion, version {champion}: sweep.students is empty"
    return Students(sweep=replace(config.sweep, students=[student]), source=source)


def student_of(tracker: Tracker, name: str, version: str) -> StudentConfig:
    """What the student of a version is: as the night that registered it says, else as its run does.

    Raises:
        UserError: neither does, or its recipe is its own and only the run is there, which does not say what differs.
    """
    found = with_retries(lambda: tracker.client.get_model_version(name, version))
    key, given = f"the student of version {version} of {name}", dict(found.tags).get(STUDENT)
    if given is not None:
        try:
            return build(StudentConfig, json.loads(given), key)
        except ValueError:
            raise _unknown(key, f"its tag {STUDENT} is no JSON") from None
    run = tracker.by_id(str(found.run_id or ""))
    if run is None:
        raise _unknown(key, f"it has no tag {STUDENT}, and its run is gone")
    if "scheme" not in run.params or "depth" not in run.params:
        raise _unknown(key, f"it has no tag {STUDENT}, and its run names no scheme and depth")
    values: dict[str, Any] = {setting: run.params[setting] for setting in OF_RUN if run.params.get(setting)}
    if "label" in values:
        raise _unknown(key, f"its label is '{values['label']}', and nothing says what differs in its recipe")
    for setting, kind in OF_RUN.items():
        if setting in values:
            values[setting] = values[setting] == "True" if kind is bool else kind(values[setting])
    student = build(StudentConfig, values, key)
    if run.name.partition(" seed=")[0] != student.name:  # layer maps of its own, which the run has of every student
        raise _unknown(key, f"it is called '{run.name}', and its run knows it as '{student.name}'")
    return student


def student_tag(sweep: SweepJob, name: str) -> dict[str, str]:
    """The tag of a version that is made of a sweep's student of a name.

    Args:
        sweep: the night's.
        name: of the student, with its seed where the sweep has several.
    """
    points = {student.name: student for student in with_found_students(sweep).sweep.points()}
    student = points.get(name) or points[name.rpartition(" seed=")[0]]
    return {STUDENT: json.dumps(difference(to_dict(StudentConfig()), to_dict(student)))}


def _unknown(what: str, why: str) -> UserError:
    return UserError(
        f"{what} is to be trained again, because sweep.students is empty, and is not known: {why}",
        "a version that a night has registered, or students",
        "set sweep.students, e.g. [{scheme: 2-2-8, depth: 6-3}]",
    )
