"""Tonight's candidate: the best student of the night's sweep; and the champion as it is registered."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

from pipeline.config.errors import UserError
from pipeline.config.jobs.dq_sweep import SweepJob
from pipeline.config.jobs.retrain import RetrainJob
from pipeline.evaluation.metrics import HEADLINES
from pipeline.serving.logged_models import DIGEST, LoggedStudent
from pipeline.serving.registry import Candidate as Registered
from pipeline.serving.registry import register
from pipeline.stages.retrain.students import student_tag
from pipeline.stages.sweep import job as sweep_job
from pipeline.stages.use.find_student import FoundModel, find_model
from pipeline.tracking.tracker import Tracker

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """The student that may become the champion.

    Args:
        name: of the student.
        run_id: of its run.
        model: its package and, if it has any, its graphs, on this machine.
        teacher: folder of the teacher that it was distilled from.
        sweep: key of the night's sweep.
        scores: of its run.
        tags: what its version will say of it.
    """

    name: str
    run_id: str
    model: FoundModel
    teacher: str
    sweep: str
    scores: dict[str, float]
    tags: dict[str, str]


def train_candidate(config: RetrainJob, sweep: SweepJob) -> Candidate:
    """Run the night's sweep, or find it done.

    Raises:
        UserError: no student of it can be a candidate; or whatever a sweep lacks.
    """
    document = sweep_job.run(sweep)
    headline = f"validation_{HEADLINES[config.task.metric]}"
    students = [one for one in document["students"] if not one["failure"] and not one["stopped"] and one["requested"]]
    if not students:
        failures = "; ".join(f"{one['name']}: {one['failure'] or one['stopped']}" for one in document["students"])
        raise UserError(
            f"no student of the night's sweep {document['sweep']} was finished ({failures})",
            "one at least",
            "lower student.learning_rate, or look at the sweep's report",
        )
    # Of equals the smaller, then the first: validation decides, the frozen set has not been looked at.
    best = max(students, key=lambda one: (one["metrics"].get(headline, 0.0), -one["metrics"]["size_bytes"]))
    log.info(f"candidate: {best['name']} of {len(students)} finished students, by {headline}")
    return Candidate(
        name=best["name"],
        run_id=best["run_id"],
        model=find_model(config, best["run_id"]),
        teacher=document["teacher"]["folder"],
        sweep=document["sweep"],
        scores=best["metrics"],
        tags={"student": best["name"], **student_tag(sweep, best["name"])},
    )


def champion_model(config: RetrainJob, version: str) -> FoundModel:
    """The champion's package, downloaded; errors as of `find_model`."""
    return find_model(config, f"models:/{config.retrain.name}/{version}")  # never a folder of that name


def registered_version(
    tracker: Tracker, config: RetrainJob, candidate: Candidate, score: float, size_bytes: int, frozen: str
) -> str:
    """The candidate's version of the registered model, made unless it is one.

    Raises:
        UserError: its model was not logged.
    """
    ready = [
        one for one in tracker.logged_models(candidate.run_id) if one.status.name == "READY" and DIGEST in one.tags
    ]
    if not ready:
        raise UserError(
            f"the model of run {candidate.run_id} was not logged", "a logged model", "submit the night again"
        )
    newest: Any = max(ready, key=lambda one: int(one.creation_timestamp))
    model = LoggedStudent(run_id=candidate.run_id, model_id=newest.model_id, location=newest.artifact_location)
    one = Registered(model=model, examples=frozen, headline=score, size_bytes=size_bytes, tags=candidate.tags)
    return str(register(tracker, config.retrain.name, [one])[candidate.run_id])
