"""How much a search has to train, and how long that takes."""

from __future__ import annotations

import time

import torch

from pipeline.config.errors import UserError
from pipeline.config.jobs.ose_search import OseSearchJob
from pipeline.config.sections.search import SearchConfig
from pipeline.stages.job import OpenedJob
from pipeline.stages.search.plan import SearchPlan
from pipeline.stages.search.seen import is_open

PASSES = 3  # forward, and backward for inputs and for weights
SECONDS_AN_HOUR = 3600.0


def num_open(plan: SearchPlan, search: SearchConfig) -> int:
    """Trials that the search makes and that nobody has made."""
    asked = [one.architecture.name for one in plan.candidates] if tries_all(plan, search) else plan.cover
    return sum(is_open(trial, search.steps[-1]) for trial in plan.trials_of(asked))


def tries_all(plan: SearchPlan, search: SearchConfig) -> bool:
    """Whether every candidate is tried, whatever the rule gives up, so that the optimum is known."""
    return len(plan.candidates) <= search.brute_force_points


def check_hours(job: OpenedJob[OseSearchJob], plan: SearchPlan) -> float:
    """How long the trials take, by the products that this machine's processor makes in a second now.

    Training and validation of all that are asked for, one after the other: no teacher, and nothing is given up on the
    way. Where the workers run is not known before they run, so nothing of them counts; the refusal says so.

    Returns:
        hours.

    Raises:
        UserError: longer than `search.max_hours`.
    """
    config, search = job.config, job.config.search
    asked = [one.architecture.name for one in plan.candidates] if tries_all(plan, search) else plan.cover
    lengths = job.task.split("train").lengths()
    examples_a_step = config.student.batch_tokens / max(1.0, sum(map(sum, lengths)) / len(lengths))
    num_validated = len(job.task.split("validation").lengths()[: config.evaluation.max_validation_examples])
    examples = PASSES * search.steps[-1] * examples_a_step + len(search.steps) * num_validated
    open_trials = [trial for trial in plan.trials_of(asked) if is_open(trial, search.steps[-1])]
    needed = sum(examples * plan.costs[trial.point].values["operations"] for trial in open_trials)
    hours = needed / _operations_a_second() / SECONDS_AN_HOUR if open_trials else 0.0
    if hours > search.max_hours:
        raise UserError(
            f"a search with {len(open_trials)} trials of {search.steps[-1]} steps, which take about {hours:,.1f} "
            f"hours one after the other on this machine's processor: the workers (cluster={config.cluster.name}) do "
            "not count",
            f"search.max_hours={search.max_hours:g}",
            "raise search.eps, lower search.steps or search.brute_force_points, or, where workers are faster or many, "
            "raise search.max_hours",
        )
    return hours


def _operations_a_second() -> float:
    """Of matrix products in fp32, as this process makes them now."""
    matrix = torch.randn(512, 512)
    matrix @ matrix  # the first one is slow
    start, count = time.perf_counter(), 0
    while time.perf_counter() - start < 0.1:
        matrix @ matrix
        count += 1
    return 2.0 * 512**3 * count / (time.perf_counter() - start)
