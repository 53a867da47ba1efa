"""The sweep inside a night, and what of a night's settings decides."""

from __future__ import annotations

from dataclasses import fields, replace

from pipeline.config.jobs.dq_sweep import SweepJob
from pipeline.config.jobs.retrain import RetrainJob
from pipeline.config.keys import config_hash, decisions
from pipeline.config.sections.data import DataConfig
from pipeline.config.sections.model import ModelConfig
from pipeline.config.sections.sweep import SweepConfig
from pipeline.config.sections.task import TaskConfig

# What is told, timed or asked for besides changes no decision on what is trained.
ASIDE = ["force", "rollback", "to", "new_frozen_set", "probe_examples", "probe_seconds"]
ASIDE += ["keep_nights", "probe_environment"]
ASIDE += ["notify_command", "notify_url", "notify_seconds"]
# The list of a sweep, and the axes of its grid.
AXES = (
    "students",
    "schemes",
    "depths",
    "heads",
    "learning_rates",
    "recipes",
    "variants",
)


def sweep_with(config: RetrainJob, data: DataConfig, task: TaskConfig, model: ModelConfig) -> SweepJob:
    """A night's sweep: its students are chosen on the validation split, so that the frozen set decides alone."""
    return SweepJob(
        experiment=config.experiment,
        seed=config.seed,
        data=data,
        task=task,
        model=model,
        recipe=config.recipe,
        cluster=config.cluster,
        teacher=config.teacher,
        student=config.student,
        sweep=config.sweep,
        evaluation=replace(config.evaluation, split="validation"),
        storage=config.storage,
        tracking=replace(config.tracking, register=None),
    )


def names_students(sweep: SweepConfig) -> bool:
    """Whether a sweep's settings say which students: a list, an axis of the grid, or a search."""
    return bool(sweep.search) or any(getattr(sweep, axis) for axis in AXES)


def settings_key(config: RetrainJob) -> str:
    """A digest of everything but the data that decides how a night ends."""
    return config_hash(
        decisions(config.task),
        decisions(config.model),
        decisions(config.recipe),
        decisions(config.teacher),
        decisions(config.student),
        decisions(config.sweep),
        decisions(config.data_checks),
        decisions(config.gates),
        decisions(config.evaluation),
        decisions(config.retrain, without=ASIDE),
        config.seed,
        config.cluster.precision,
    )


def ignored(config: RetrainJob) -> dict[str, str]:
    """Settings and sections that others make useless -> what does."""
    retrain, found = config.retrain, dict[str, str]()
    if retrain.rollback:
        # The command of a night with `rollback=true` behind it is as good as a short one: sections are not told.
        kept = {"name", "rollback", "to", "probe_examples", "probe_environment", "probe_seconds"}
        kept |= {"notify_command", "notify_url", "notify_seconds"}
        others = (f"retrain.{setting.name}" for setting in fields(retrain) if setting.name not in kept)
        found |= dict.fromkeys(others, "retrain.rollback=true")
    if config.gates.max_bytes is not None:
        found["gates.max_bytes_factor"] = f"gates.max_bytes={config.gates.max_bytes}"
    if not retrain.timing_examples:
        found["retrain.timing_rounds"] = found["gates.max_slowdown_ms"] = "retrain.timing_examples=0"
    if not retrain.probe_examples:
        found["retrain.probe_environment"] = found["retrain.probe_seconds"] = "retrain.probe_examples=0"
    if not retrain.notify_command and not retrain.notify_url:
        found["retrain.notify_seconds"] = "neither retrain.notify_command nor retrain.notify_url"
    return found
