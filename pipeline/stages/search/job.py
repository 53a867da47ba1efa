"""The job `ose_search`: a space, its costs, the first steps of its candidates, the answer and how good it can be."""

from __future__ import annotations

import logging
import math
from dataclasses import replace
from typing import Any

from pipeline.config.changes import with_sections
from pipeline.config.errors import UserError
from pipeline.config.jobs.ose_search import OseSearchJob
from pipeline.config.load import to_yaml
from pipeline.console.tables import markdown_table, text_table
from pipeline.stages.job import OpenedJob, open_job
from pipeline.stages.runs import common_params, common_tags, start_run
from pipeline.stages.search import measure_scores, mixed_bits, run_trials
from pipeline.stages.search.answer import Answer, answer_of
from pipeline.stages.search.checks import check_possible, say_ignored
from pipeline.stages.search.effort import check_hours, num_open, tries_all
from pipeline.stages.search.latencies import confirmed
from pipeline.stages.search.plan import SearchPlan, plan_search, without_candidates
from pipeline.stages.search.precheck import check_search
from pipeline.stages.search.report import write_results
from pipeline.stages.search.results import answer_table, document_of, plan_table
from pipeline.stages.search.run_trials import Trying
from pipeline.stages.search.seen import is_open, read_seen
from pipeline.stages.search.space import needs_teacher
from pipeline.stages.teacher import fine_tune
from pipeline.storage.lease import lease
from pipeline.tracking.run import Run
from pipeline.tracking.tracker import RunSpec

REPORT_NOTE = "Front, candidates, guarantee and configuration: artifact `report/report.html`."

log = logging.getLogger(__name__)


def dry_run(config: OseSearchJob) -> dict[str, Any]:
    """Say what `run` would do: every candidate with its costs, which are tried, for about how long.

    Returns:
        the document printed by the job.
    """
    job = _opened(config, copies_model=False)
    if config.search.kind == "mixed_bits":
        return {"status": "planned", **mixed_bits.planned(job)}
    plan = plan_search(job, measures=False, needs_times=False)
    log.info(f"\n{text_table(plan_table(plan))}\n")
    return {
        "status": "planned",
        "search": plan.name,
        "candidates": len(plan.candidates),
        "cover": list(plan.cover),
        "num_trials": num_open(plan, job.config.search),
        "hours": check_hours(job, plan),
    }


def run(config: OseSearchJob) -> dict[str, Any]:
    """Search, or find everything known.

    Returns:
        the document printed by the job: the answer, its bound, the optimum, the front.
    """
    job = _opened(config)
    config, search = job.config, job.config.search
    if search.kind == "mixed_bits":
        return mixed_bits.run(job)
    plan = plan_search(job)
    log.info(f"\n{text_table(plan_table(plan))}\n")
    check_hours(job, plan)
    teacher = fine_tune.run(config, job.storage, job.task) if needs_teacher(config) else None
    with lease(plan.trials_folder, f"search {plan.name}"), _start_run(job, plan) as parent:
        assert parent.run_id is not None
        trying = Trying(
            job=job,
            teacher=teacher,
            costs={one.architecture.name: one.cost for one in plan.candidates},
            maximum=plan.maximum,
            folder=plan.trials_folder,
            parent_run_id=parent.run_id,
        )
        tried = run_trials.run(trying, plan.trials_of(plan.cover))
        if tries_all(plan, search):
            run_trials.train_until(trying, plan.trials, search.steps[-1], known=plan.trials)
        run_trials.clear(trying, plan.trials)
        run_trials.adopt(trying, plan.trials)
        if search.training_free:
            known = [trial for trial in plan.trials if not is_open(trial, search.steps[-1])]
            measure_scores.run(job, [trial for trial in known if read_seen(trial.folder).failure is None], teacher)
        plan, answer = _confirmed(job, plan, _answer(plan, job, tried), measures=True)
        return _finish(job, plan, answer, parent)


def resolve(config: OseSearchJob) -> dict[str, Any]:
    """Answer from what is stored: other limits, another interval, another space, without training or measuring.

    Returns:
        the document printed by the job.

    Raises:
        UserError: nothing is stored of such candidates, or their data have changed since.
    """
    check_search(config)
    alone = replace(config.cluster, launcher="process", num_workers=1, gpus_per_worker=0)
    job = _opened(with_sections(config, cluster=alone), copies_model=False)
    if config.search.kind == "mixed_bits":
        return mixed_bits.resolve(job)
    plan = plan_search(job, measures=False)
    step = job.config.search.steps[-1]
    names = [one.architecture.name for one in plan.candidates]
    known = [name for name in names if not any(is_open(trial, step) for trial in plan.trials_of([name]))]
    # The cover alone, as the search itself; where it is not all known, whatever is.
    tried = list(plan.cover) if set(plan.cover) <= set(known) else known
    log.info(f"{len(known)} of {len(names)} candidates are known after {step} steps; ranked are {len(tried)}")
    if not tried:
        raise UserError(
            f"none of {len(plan.candidates)} candidates was tried for {step} steps with these data and settings "
            f"({plan.trials_folder})",
            "candidates that a search has tried; data that have changed make others of them",
            "submit the same command without --resolve",
        )
    plan, answer = _confirmed(job, plan, _answer(plan, job, tried), measures=False)
    log.info(f"\n{text_table(answer_table(plan, answer, job.config.search))}\n")
    return {"status": "finished", **document_of(plan, answer, job.config)}


def _opened(config: OseSearchJob, *, copies_model: bool = True) -> OpenedJob[OseSearchJob]:
    """The job, of which it is said what it leaves aside."""
    check_search(config)
    say_ignored(config.search)
    return open_job(config, check_possible, copies_model=copies_model)


def _answer(plan: SearchPlan, job: OpenedJob[OseSearchJob], tried: list[str]) -> Answer:
    search = job.config.search
    everything = not any(is_open(trial, search.steps[-1]) for trial in plan.trials)
    return answer_of(search, plan.candidates, plan.maximum, plan.trials, tried=tried, tries_all=everything)


def _confirmed(
    job: OpenedJob[OseSearchJob], plan: SearchPlan, answer: Answer, *, measures: bool
) -> tuple[SearchPlan, Answer]:
    """The times of what is chosen measured where they were predicted; what turns out too slow is not chosen.

    Raises:
        UserError: nothing is left.
    """
    search, by_name = job.config.search, {point.name: point for point in plan.points}
    while True:
        chosen = answer.chosen(search.num_chosen)
        latencies = confirmed(job, plan.latencies, [by_name[name] for name in chosen], measures=measures)
        plan = replace(plan, latencies=latencies)
        limit = math.inf if search.max_ms is None else search.max_ms
        slow = {name for name in chosen if (latencies.milliseconds(name) or 0.0) > limit}
        if not slow:
            return plan, answer
        log.info(f"predicted to be within search.max_ms={limit:g}, measured to be slower: {', '.join(sorted(slow))}")
        left = [name for name in answer.ranking if name not in slow]
        if not left:
            raise UserError(
                f"search.max_ms={limit:g}, which no candidate that was tried meets when it is measured",
                f"at least {min(latencies.milliseconds(name) or limit for name in answer.ranking):.4g}",
                "raise search.max_ms or search.latency.max_measured",
            )
        plan = without_candidates(plan, slow)
        answer = _answer(plan, job, left)


def _start_run(job: OpenedJob[OseSearchJob], plan: SearchPlan) -> Run:
    config = job.config
    spec = RunSpec(
        name=f"search {config.task.name} {config.model.name} {config.search.kind}",
        key=plan.key,
        kind="search",
        params=common_params(config),
        config=to_yaml(config),
        tags={**common_tags(config), "dq.recipe": config.recipe.name, "dq.data": job.task.fingerprint},
    )
    return start_run(config, spec)


def _finish(job: OpenedJob[OseSearchJob], plan: SearchPlan, answer: Answer, parent: Run) -> dict[str, Any]:
    """Report, run and document of a finished search."""
    config = job.config
    document = document_of(plan, answer, config)
    report = write_results(job, plan, answer, document, parent.run_id or "")
    parent.artifacts(report, "report")
    table = answer_table(plan, answer, config.search)
    parent.tags({"mlflow.note.content": f"{REPORT_NOTE}\n\n{markdown_table(table)}\n\n{answer.result.guarantee.words}"})
    best = document["best"]
    parent.metrics({name: float(best[name]) for name in ("bytes", "ms", "error", "W") if best[name] is not None}, 0)
    log.info(
        f"\n{text_table(table)}\n\n{answer.result.guarantee.words}\n\nreport: {report / 'report.html'}\n"
        f"runs: {job.storage.root} (make ui)"
    )
    return {"status": "finished", "run_id": parent.run_id, "report": str(report), **document}
