"""The job `dq_sweep`: data, teacher, cohorts of students, one table."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from pipeline.config.load import to_yaml
from pipeline.config.schema import JobConfig
from pipeline.evaluation.metrics import COLUMNS, HEADLINES, baseline_of
from pipeline.stages import distill, teacher
from pipeline.stages.distill import StudentResult
from pipeline.stages.evaluate import baseline_scores
from pipeline.stages.job import OpenedJob, open_job
from pipeline.stages.plan import sweep_key
from pipeline.stages.possible import check_possible
from pipeline.stages.runs import common_params, common_tags, start_run
from pipeline.stages.teacher import TeacherResult
from pipeline.tracking.progress import say
from pipeline.tracking.report import Results, Row, markdown_table, tables, text_table, write_report
from pipeline.tracking.tracker import RunSpec


def run(config: JobConfig) -> dict[str, Any]:
    """Train, pack and evaluate every student of a sweep, or find it done.

    Returns:
        the document printed by the job: status, table rows, where reports and runs are.
    """
    job = open_job(config)
    config = job.config
    check_possible(job)
    teacher_result = teacher.run(config, job.storage, job.task)
    key = sweep_key(config, teacher_result)
    spec = RunSpec(
        name=f"sweep {config.task.name} {config.model.name} {config.recipe.name}",
        key=key,
        kind="sweep",
        params=common_params(config, without=("sweep",)),
        config=to_yaml(config),
        tags={**common_tags(config), "dq.data": job.task.fingerprint, "dq.teacher_run": teacher_result.run_id or ""},
    )
    with start_run(config, spec) as parent:
        assert parent.run_id is not None
        students = distill.run(job, teacher_result, parent.run_id)
        results = Results(
            rows=_rows(job, teacher_result, students),
            columns=COLUMNS[config.task.metric],
            headline=HEADLINES[config.task.metric],
            title=f"{config.task.name}: {config.model.name} teacher and its students",
            split=config.evaluation.split,
        )
        report = job.storage.sweep(key) / "report"
        write_report(results, report)
        (report / "config.yaml").write_text(to_yaml(config))
        parent.artifacts(report, "report")
        note = "\n\n".join(markdown_table(table) for table in tables(results))
        parent.tags({"mlflow.note.content": note})  # the run's description in the UI
        parent.metrics({f"teacher_{name}": value for name, value in teacher_result.scores.items()}, 0)
        # Those of earlier submissions stand in the table, too; they do not decide how this one ended.
        failed = [student for student in students if student.failure and student.wanted]
        if failed:
            parent.failed("; ".join(f"{student.name}: {student.failure}" for student in failed))
    shown = "\n\n".join(text_table(table) for table in tables(results))
    say(f"\n{shown}\n\nreport: {report}\nruns: {job.storage.root} (make ui)")
    return {
        "status": "failed" if failed else "finished",
        "sweep": key,
        "run_id": parent.run_id,
        "report": str(report),
        "teacher": asdict(teacher_result),
        "students": [asdict(student) for student in students],
    }


def _rows(job: OpenedJob, teacher_result: TeacherResult, students: list[StudentResult]) -> list[Row]:
    prefix = f"{job.config.evaluation.split}_"
    rows = [
        Row(name=baseline_of(job.config.task.metric), scores=baseline_scores(job.task, job.config)),
        Row(
            name="teacher (fp32)",
            scores=teacher_result.scores,
            size_bytes=teacher_result.size_bytes,
            size_ratio=1.0,
            rule_p_ratio=1.0,
            speed_ratio=1.0,
        ),
    ]
    for student in students:
        metrics = student.metrics
        scores = {name.removeprefix(prefix): value for name, value in metrics.items() if name.startswith(prefix)}
        rows.append(
            Row(
                name=student.name,
                scores={} if student.failure else scores,
                size_bytes=metrics.get("size_bytes"),
                size_ratio=metrics.get("size_ratio"),
                rule_p_ratio=metrics.get("rule_p_ratio"),
                speed_ratio=metrics.get("speed_ratio"),
                failure=student.failure,
                group=student.group,
            )
        )
    return rows
