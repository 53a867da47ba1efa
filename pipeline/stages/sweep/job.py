"""The job `dq_sweep`: data, teacher, cohorts of students, one table."""

from __future__ import annotations

import logging
from dataclasses import asdict
from typing import Any

from pipeline.config.jobs.dq_sweep import SweepJob
from pipeline.config.load import to_yaml
from pipeline.console.tables import markdown_table, text_table
from pipeline.report.results import sample_table, tables
from pipeline.stages.data_summary import as_document
from pipeline.stages.job import OpenedJob, open_job
from pipeline.stages.runs import common_params, common_tags, start_run
from pipeline.stages.sweep import register
from pipeline.stages.sweep.plan.checks import check_possible, say_without_decoder
from pipeline.stages.sweep.plan.cohorts import SweepPlan, plan_summary, plan_sweep, plan_table
from pipeline.stages.sweep.plan.found_students import check_found_students, with_found_students
from pipeline.stages.sweep.precheck import check_sweep
from pipeline.stages.sweep.report import gather, write_report
from pipeline.stages.sweep.train import run_cohorts
from pipeline.stages.teacher import fine_tune
from pipeline.storage.lease import lease
from pipeline.tracking.tracker import RunSpec

REPORT_NOTE = "Plots, curves, samples and configuration: artifact `report/report.html`."

log = logging.getLogger(__name__)


def dry_run(config: SweepJob) -> dict[str, Any]:
    """Say what `run` would do: the students, their cohorts, memory and steps.

    Returns:
        the document printed by the job.
    """
    job, plan = _open(config, copies_model=False)
    cache_bytes = job.storage.cache_bytes()
    log.info(
        f"{job.storage.cache} holds {cache_bytes / 2**20:,.1f} MiB that can be made again; while no job runs, "
        f"`make clean-cache DQ_STORAGE={job.storage.root}` frees them"
    )
    cohorts = [
        {
            "students": [student.name for student in cohort.students],
            "memory_bytes": cohort.memory_bytes,
            "continues": cohort.continues,
        }
        for cohort in plan.cohorts
    ]
    return {
        "status": "planned",
        "sweep": plan.key,
        "already_done": [student.name for student in plan.students if student.key in plan.already_done],
        "cohorts": cohorts,
        "untrained": [student.name for group in plan.untrained for student in group.students],
        "num_steps": plan.num_steps,
        "data": as_document(job.task),
        "cache_bytes": cache_bytes,
    }


def run(config: SweepJob) -> dict[str, Any]:
    """Train, pack and evaluate every student of a sweep, or find it done.

    Returns:
        the document printed by the job: status, table rows, where reports and runs are.
    """
    job, plan = _open(config)
    config, key = job.config, plan.key
    teacher_result = fine_tune.run(config, job.storage, job.task)
    spec = RunSpec(
        name=f"sweep {config.task.name} {config.model.name} {config.recipe.name}",
        key=key,
        kind="sweep",
        params=common_params(config, without=("sweep",)),
        config=to_yaml(config),
        tags={
            **common_tags(config),
            "dq.recipe": config.recipe.name,
            "dq.data": job.task.fingerprint,
            "dq.teacher_run": teacher_result.run_id or "",
        },
    )
    with lease(job.storage.sweep(key), f"sweep {key}"), start_run(config, spec) as parent:
        assert parent.run_id is not None
        shown_plan = plan_table(plan)
        plan = plan_sweep(job)  # another submission may have finished something meanwhile
        students, errors = run_cohorts.run(job, plan, teacher_result, parent.run_id)
        results = gather(job, key, teacher_result, students, parent.run_id, shown_plan)
        report = job.storage.sweep(key) / "report"
        write_report(results, report)
        parent.artifacts(report, "report")
        if results.samples:
            parent.table(sample_table(results), "report/samples.json")  # the UI shows it as a table
        note = "\n\n".join([REPORT_NOTE, *(markdown_table(table) for table in tables(results))])
        parent.tags({"mlflow.note.content": note})  # the run's description in the UI
        parent.metrics({f"teacher_{name}": value for name, value in teacher_result.scores.items()}, 0)
        # Those of earlier submissions stand in the table, too; they do not decide how this one ended.
        failed = [student for student in students if student.failure and student.requested]
        if failed:
            parent.failed("; ".join(f"{student.name}: {student.failure}" for student in failed))
        versions = register.run(job, plan, students)
        if errors:  # what is done is reported; the job has failed all the same
            raise errors[0]
    shown = "\n\n".join(text_table(table) for table in tables(results))
    log.info(f"\n{shown}\n\nreport: {report / 'report.html'}\nruns: {job.storage.root} (make ui)")
    return {
        "status": "failed" if failed else "finished",
        "sweep": key,
        "run_id": parent.run_id,
        "report": str(report),
        "teacher": asdict(teacher_result),
        "students": [asdict(student) for student in students],
        "versions": versions,
    }


def _open(config: SweepJob, *, copies_model: bool = True) -> tuple[OpenedJob[SweepJob], SweepPlan]:
    """Everything that is checked, and the plan that is printed, before anything is trained."""
    check_sweep(config)
    job = open_job(with_found_students(config), check_possible, copies_model=copies_model)
    check_found_students(job)
    say_without_decoder(job.config, job.config.sweep.points())
    plan = plan_sweep(job)
    log.info(f"\n{plan_summary(plan)}\n\n{text_table(plan_table(plan))}\n")
    return job, plan
