"""Stage: what a search leaves behind for people, for sweeps, and for whoever judges searches."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from pipeline import WRITTEN_BY
from pipeline.config.build import to_dict
from pipeline.config.jobs.ose_search import OseSearchJob
from pipeline.config.keys import config_hash, decisions
from pipeline.config.load import to_yaml
from pipeline.report.search_page import write_search_report
from pipeline.report.search_results import SearchPoint, SearchResults
from pipeline.search.table import TableRow
from pipeline.stages.environment import environment_of
from pipeline.stages.finished_search import FinishedSearch, write_finished
from pipeline.stages.job import OpenedJob
from pipeline.stages.search.answer import Answer, best_rate, error_curve, error_spread, has_diverged
from pipeline.stages.search.measure_scores import read_scores
from pipeline.stages.search.plan import MIB, SearchPlan
from pipeline.stages.search.results import latency_model_of, w_of
from pipeline.stages.search.seen import read_seen
from pipeline.stages.sweep.plan.students import as_decided
from pipeline.storage.atomic import atomic_text
from pipeline.tracking.lineage import lineage

TABLE = "table.jsonl"


def write_results(
    job: OpenedJob[OseSearchJob], plan: SearchPlan, answer: Answer, document: dict[str, Any], run_id: str
) -> Path:
    """The report's folder, the table of all that was tried, and what a sweep reads.

    Returns:
        the folder of the report.
    """
    report = plan.folder / "report"
    report.mkdir(parents=True, exist_ok=True)
    write_search_report(_results(job, plan, answer, run_id), report)
    rows = _table(plan, job.config)
    atomic_text(report / TABLE, "".join(f"{json.dumps(row.as_json())}\n" for row in rows))
    write_finished(plan.folder, _finished(job, plan, answer, document))
    return report


def _finished(
    job: OpenedJob[OseSearchJob], plan: SearchPlan, answer: Answer, document: dict[str, Any]
) -> FinishedSearch:
    config = job.config
    return FinishedSearch(
        name=plan.name,
        kind=config.search.kind,
        data=job.task.fingerprint,
        task=config.task.name,
        recipe=config_hash(decisions(config.recipe)),
        students=_students(plan, config, answer.chosen(config.search.num_chosen)),
        document=document,
    )


def _students(plan: SearchPlan, config: OseSearchJob, names: Sequence[str]) -> list[dict[str, Any]]:
    """Chosen points as a sweep trains them: where learning rates were searched, each with its best."""
    search, by_name, students = config.search, {point.name: point for point in plan.points}, []
    for name in names:
        if (student := by_name[name].student) is not None:
            rate = best_rate(plan.trials_of([name]), search.steps[-1]) if search.learning_rates else None
            own = replace(student, learning_rate=rate, distil=search.distil)
            students.append(to_dict(as_decided(own, config.recipe)))
    return students


def _table(plan: SearchPlan, config: OseSearchJob) -> list[TableRow]:
    """A row a candidate and seed, of those that were tried to the end, under the first of the learning rates."""
    steps, group = config.search.steps, "distilled" if config.search.distil else "scratch"
    rows = []
    for trial in plan.trials:
        errors = {step: read_seen(trial.folder).after(step) for step in steps}
        known = {step: error for step, error in errors.items() if error is not None}
        if len(known) == len(steps) and trial.learning_rate == plan.trials[0].learning_rate:
            rows.append(
                TableRow(
                    name=trial.point,
                    seed=trial.seed,
                    costs=plan.values(trial.point),
                    scores=read_scores(trial.folder) if config.search.training_free else {},
                    errors={group: known},
                    final=group,
                )
            )
    return rows


def _results(job: OpenedJob[OseSearchJob], plan: SearchPlan, answer: Answer, run_id: str) -> SearchResults:
    config, search = job.config, job.config.search
    step, measure = search.steps[-1], "validation loss" if search.measure == "loss" else "100 less the validation score"
    limits = {name: value for name in ("max_mib", "max_ms") if (value := getattr(search, name)) is not None}
    optimum, model = answer.optimum, latency_model_of(plan)
    chosen_by = "the least error within the limits" if limits else "the highest W"
    beside = None
    if optimum is not None:
        beside = {"relative": optimum.w_lost, "places": float(optimum.places), "error": optimum.error_lost}
    return SearchResults(
        title=f"{config.task.name}: {plan.name}, a search of {search.kind.replace('_', ' ')}",
        points=[_point(plan, config, candidate.architecture.name) for candidate in plan.candidates],
        best=answer.best,
        chosen=answer.chosen(search.num_chosen),
        optimum=None if optimum is None else optimum.name,
        maximum=_maximum(plan, config),
        named={point.name: plan.values(point.name) for point in plan.named},
        size_cost=search.size,
        inference_cost=search.inference,
        error_name=f"{measure} after {step} steps",
        limits=limits,
        rule=f"The answer is the candidate with {chosen_by}, of those that were tried to the end.",
        guarantee=answer.result.guarantee,
        distance=beside,
        latency_model=None
        if model is None
        else {name: model[name] for name in ("num_measured", "median_error", "max_error")},
        facts=_facts(job, plan, run_id),
        environment=environment_of(config.cluster),
        config=to_yaml(config),
    )


def _maximum(plan: SearchPlan, config: OseSearchJob) -> dict[str, float]:
    """T's costs: the two of W; of an architecture all of them."""
    of_w = {config.search.size: plan.maximum.size, config.search.inference: plan.maximum.inference}
    given = [point.name for point in plan.named if point.name == "T"]
    return plan.values(given[0]) if given else of_w


def _point(plan: SearchPlan, config: OseSearchJob, name: str) -> SearchPoint:
    steps, trials, latency = config.search.steps, plan.trials_of([name]), plan.latencies.of.get(name)
    errors = error_curve(trials, steps)
    error = errors.get(steps[-1])
    state: Literal["tried", "given up", "diverged", "not tried"] = "tried"
    if has_diverged(trials) and (error is None or math.isinf(error)):
        state = "diverged"
    elif error is None:
        state = "given up" if errors else "not tried"
    return SearchPoint(
        name=name,
        costs=plan.costs[name].values,
        latency_ms=None if latency is None else latency.milliseconds,
        latency_interval_ms=None if latency is None else (latency.low, latency.high),
        is_measured=latency is not None and latency.is_measured,
        errors=errors,
        error_spread=error_spread(trials, steps[-1]),
        w=None if error is None else w_of(plan, name, error),
        state=state,
        in_cover=name in plan.cover,
    )


def _facts(job: OpenedJob[OseSearchJob], plan: SearchPlan, run_id: str) -> dict[str, str]:
    config, search = job.config, job.config.search
    limits = [f"{limit / unit:g} {word}" for cost, limit in search.limits.items() for word, unit in [_unit(cost)]]
    facts = {
        "search": plan.name,
        "task": config.task.name,
        "model": config.model.name,
        "recipe": config.recipe.name,
        "experiment": config.experiment or "",
        "data": job.task.fingerprint,
        "points": f"{len(plan.points)}, {len(plan.candidates)} within the limits",
        "limits": ", ".join(limits),
        "eps": str(search.eps),
        "steps": ", ".join(map(str, search.steps)),
        "rule": search.rule,
        "learns from": "references and teacher" if search.distil else "references alone",
        "seeds": ", ".join(map(str, search.seed_list(config.seed))),
        "parent run": run_id,
        "git commit": lineage().get("mlflow.source.git.commit", "unknown"),
        "written by": WRITTEN_BY,
        "written": f"{datetime.now().astimezone():%Y-%m-%d %H:%M %Z}",
    }
    return {name: text for name, text in facts.items() if text}


def _unit(cost: str) -> tuple[str, int]:
    return ("MiB", MIB) if cost == "size_bytes" else ("ms", 1)
