"""Stage: try candidates, side by side on the cluster, giving up the worst on the way where that is the rule."""

from __future__ import annotations

import logging
import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pipeline.cluster.groups import run_side_by_side
from pipeline.cluster.ray_train import run_workers
from pipeline.config.jobs.ose_search import OseSearchJob
from pipeline.config.keys import config_hash
from pipeline.search.cover import Cost, w_coefficient
from pipeline.stages.job import OpenedJob
from pipeline.stages.runs import open_tracker
from pipeline.stages.search.groups import TRIALS, Group, Grouping
from pipeline.stages.search.seen import errors_of, is_open, mean_error, read_seen
from pipeline.stages.search.space import TrialPlan, needs_teacher
from pipeline.stages.search.training_texts import training_tokens
from pipeline.stages.search.trial_run import trial_run
from pipeline.stages.search.try_candidates import TrialsWork, try_candidates
from pipeline.stages.sweep.train import prune_heads
from pipeline.stages.sweep.train.early_stopping import to_stop
from pipeline.stages.teacher.finished import TeacherResult
from pipeline.storage.sealed_json import found_json
from pipeline.tracking.tracker import Tracker

CHECKPOINTS = "checkpoints"

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Trying:
    """What trials need beside themselves.

    Args:
        job: the job.
        teacher: the fine-tuned teacher; none where nobody needs one.
        costs: point -> its costs, for W.
        maximum: the costs of T.
        folder: of all trials that are trained alike.
        parent_run_id: run of the search.
    """

    job: OpenedJob[OseSearchJob]
    teacher: TeacherResult | None
    costs: Mapping[str, Cost]
    maximum: Cost
    folder: Path
    parent_run_id: str


def run(trying: Trying, trials: Sequence[TrialPlan]) -> list[str]:
    """Try points by the rule of the search.

    Args:
        trying: what trials need.
        trials: all those of the points.

    Returns:
        names of the points that were tried to the end.
    """
    search = trying.job.config.search
    points = list(dict.fromkeys(trial.point for trial in trials))
    stops = search.steps if search.rule == "halving" else search.steps[-1:]
    for number, step in enumerate(stops):
        train_until(trying, [trial for trial in trials if trial.point in points], step, known=trials)
        if number < len(stops) - 1:
            points = _survivors(trying, trials, points, step)
    return points


def train_until(trying: Trying, trials: Sequence[TrialPlan], step: int, known: Sequence[TrialPlan]) -> None:
    """Train trials up to a step, those whose error there nobody knows; the rest is there.

    Args:
        trying: what trials need.
        trials: those that are asked for.
        step: the optimiser step.
        known: these and others that may share checkpoints with them.

    Raises:
        UserError: steps beyond the training on the teacher's texts.
        Exception: the first error of a group that failed as a whole; the others are trained anyway.
    """
    left = [trial for trial in trials if is_open(trial, step)]
    log.info(f"{len(trials)} trials of {step} steps: {len(trials) - len(left)} known, {len(left)} to be trained")
    if not left:
        return
    config, tracker = trying.job.config, open_tracker(trying.job.config)
    tokens = training_tokens(trying.job, trying.teacher)
    errors: list[Exception] = []

    def ended(name: str, error: Exception | None) -> None:
        if error is not None:
            log.error(f"{name} failed: {type(error).__name__}: {error}")
            errors.append(error)

    grouping = Grouping(trying.job, trying.folder / CHECKPOINTS, known, with_teacher=needs_teacher(config))
    groups, calls = grouping.groups(left), dict[str, Callable[[], None]]()
    for number, group in enumerate(groups, 1):
        name = f"group {number} of {len(groups)}"
        try:
            _prepare(trying, group, tokens)
            calls[name] = partial(_train, trying, group, tokens, step, name, tracker)
        except Exception as error:  # the other groups know nothing of it
            ended(name, error)
    run_side_by_side(calls, config.cluster, ended)
    if errors:
        raise errors[0]


def clear(trying: Trying, trials: Sequence[TrialPlan]) -> None:
    """Remove the checkpoints of trials whose errors are all known; those that another search has left stay."""
    keys = {trial.key for trial in trials}
    for record in (trying.folder / CHECKPOINTS).glob(f"*/{TRIALS}"):
        if set(found_json(record, "its checkpoints stay") or [None]) <= keys:
            shutil.rmtree(record.parent, ignore_errors=True)


def adopt(trying: Trying, trials: Sequence[TrialPlan]) -> None:
    """Put the runs of trials that an earlier search made below the run of this one."""
    tracker = open_tracker(trying.job.config)
    for trial in trials:
        if (found := tracker.find("candidate", trial.key)) is not None:
            tracker.adopt(found, trying.parent_run_id)


def _prepare(trying: Trying, group: Group, tokens: Path) -> None:
    """What comes before training: the heads to keep."""
    for trial in group.trials:
        if trial.student is not None and trying.teacher is not None:
            prune_heads.run(trying.job, trying.teacher, trial.student, tokens)


def _train(trying: Trying, group: Group, tokens: Path, step: int, name: str, tracker: Tracker) -> None:
    job, keys = trying.job, [trial.key for trial in group.trials]
    work = TrialsWork(
        config=job.config,
        task=job.task,
        name=name,
        teacher_result=trying.teacher,
        trials=group.trials,
        waiting=group.waiting,
        costs={trial.point: trying.costs[trial.point] for trial in group.trials},
        maximum=trying.maximum,
        until=step,
        training_tokens=tokens,
        checkpoints=group.checkpoints,
        parent_run_id=trying.parent_run_id,
    )
    try:
        run_workers(
            try_candidates,
            work,
            job.config.cluster,
            name=f"trials-{config_hash(keys, step)}",
            storage_path=job.storage.root / "ray",
            memory_bytes=group.memory_bytes,
        )
    except BaseException as error:  # a worker that was killed could not say so itself
        for key in set(keys) - group.waiting:
            tracker.fail_if_running("candidate", key, f"{type(error).__name__}: {error}")
        raise


def _survivors(trying: Trying, trials: Sequence[TrialPlan], points: list[str], step: int) -> list[str]:
    """Those that go on: the best by what decides in the end; the others' runs say why they do not."""
    config = trying.job.config
    search = config.search
    errors = errors_of(trials, step)
    standings = {point: _standing(trying, point, min(map(mean_error, errors[point].values()))) for point in points}
    gone = to_stop([-standings[point] for point in points], "halving", search.keep)
    left = [point for point, is_gone in zip(points, gone, strict=True) if not is_gone]
    what = "error" if search.limits else "W"
    reason = f"given up after {step} of {search.steps[-1]} steps: {len(left)} of {len(points)} go on, by {what}"
    log.info(reason)
    tracker = open_tracker(config)
    for trial in trials:
        if trial.point not in points or trial.point in left or read_seen(trial.folder).failure is not None:
            continue  # who goes on, was given up before, or says already why it failed
        known = tracker.find("candidate", trial.key)
        if known is None or known.stopped != reason:
            cost = trying.costs[trial.point]
            with trial_run(trial, config, trying.job.task.fingerprint, cost, trying.parent_run_id) as told:
                told.stopped(reason)
    return left


def _standing(trying: Trying, point: str, error: float) -> float:
    """The higher the better: W, or within a limit the error alone."""
    if trying.job.config.search.limits or not math.isfinite(error):
        return -error
    return w_coefficient(trying.costs[point], trying.maximum, error)
