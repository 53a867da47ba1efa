"""Stage: what a sweep leaves behind for people, gathered from storage and MLflow, written as a folder."""

from __future__ import annotations

import logging
import statistics
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from pipeline import WRITTEN_BY
from pipeline.config.jobs.dq_sweep import SweepJob
from pipeline.config.load import to_yaml
from pipeline.evaluation.metrics import COLUMNS, HEADLINES, baseline_of
from pipeline.report.curves import Curve, curve_metrics, points_each, thinned
from pipeline.report.page import write_page
from pipeline.report.results import Results, Row, Sample, write_tables
from pipeline.report.results_of_papers import published_points
from pipeline.report.static_plots import write_plots
from pipeline.stages.environment import environment_of
from pipeline.stages.evaluate import (
    PREDICTIONS,
    baseline_scores,
    evaluation_examples,
    metric_tags,
    read_predictions,
    references_of,
)
from pipeline.stages.job import OpenedJob
from pipeline.stages.runs import open_tracker
from pipeline.stages.sweep.recovery import recovered_percent
from pipeline.stages.sweep.train.run_cohorts import StudentResult
from pipeline.stages.teacher.finished import TeacherResult
from pipeline.tracking.lineage import lineage

TEACHER = "teacher (fp32)"

log = logging.getLogger(__name__)


def gather(
    job: OpenedJob[SweepJob],
    key: str,
    teacher: TeacherResult,
    students: list[StudentResult],
    run_id: str,
    plan: Sequence[Sequence[str]] = (),
) -> Results:
    """Everything that the report of a sweep holds.

    Args:
        job: the job.
        key: of the sweep.
        teacher: its teacher.
        students: all of the sweep, also those of earlier submissions.
        run_id: of the parent run.
        plan: what the job announced before it began, as a table.
    """
    config, names = job.config, _distinct_names(students)
    return Results(
        rows=[_baseline_row(job), _teacher_row(teacher, students), *_student_rows(students, names, config)],
        columns=COLUMNS[config.task.metric],
        headline=HEADLINES[config.task.metric],
        title=f"{config.task.name}: {config.model.name} teacher and its students",
        split=config.evaluation.split,
        facts=_facts(job, key, teacher, run_id),
        environment=environment_of(config.cluster),
        curves=_curves(config, students, names),
        samples=_samples(job, key, teacher, students, names),
        plan=plan,
        published=published_points(config.task.name),
        config=to_yaml(config),
    )


def write_report(results: Results, folder: Path) -> None:
    """Page, tables, pictures and configuration of a sweep in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    write_tables(results, folder)
    write_plots(results, folder)
    write_page(results, folder)
    (folder / "config.yaml").write_text(results.config)


def _distinct_names(students: list[StudentResult]) -> list[str]:
    """Their names; those of one name in several submissions show their keys, too."""
    counts = Counter(student.name for student in students)
    return [f"{s.name} [{s.key}]" if counts[s.name] > 1 else s.name for s in students]


def _baseline_row(job: OpenedJob[SweepJob]) -> Row:
    metric = job.config.task.metric
    return Row(name=baseline_of(metric), kind="baseline", scores=baseline_scores(job.task, job.config))


def _teacher_row(teacher: TeacherResult, students: list[StudentResult]) -> Row:
    """The teacher; it was timed beside every student, and what these times differ by is noise."""
    times = [s.metrics["teacher_latency_p50_ms"] for s in students if "teacher_latency_p50_ms" in s.metrics]
    noise = {"latency_p50_ms_min": min(times), "latency_p50_ms_max": max(times)} if times else {}
    return Row(
        name=TEACHER,
        kind="teacher",
        scores=teacher.scores,
        size_bytes=teacher.size_bytes,
        size_ratio=1.0,
        paper_ratio=1.0,
        speed_ratio=1.0,
        latency_p50_ms=statistics.median(times) if times else None,
        run_id=teacher.run_id or "",
        metrics={**{f"validation_{name}": value for name, value in teacher.validation.items()}, **noise},
    )


def _student_rows(students: list[StudentResult], names: list[str], config: SweepJob) -> list[Row]:
    prefix, rows = f"{config.evaluation.split}_", []
    recovered = recovered_percent(students, f"{prefix}{HEADLINES[config.task.metric]}")
    for student, name in zip(students, names, strict=True):
        metrics = student.metrics
        scores = {metric.removeprefix(prefix): metrics[metric] for metric in metrics if metric.startswith(prefix)}
        rows.append(
            Row(
                name=name,
                scores={} if student.failure or student.stopped else scores,
                size_bytes=metrics.get("size_bytes"),
                size_ratio=metrics.get("size_ratio"),
                paper_ratio=metrics.get("paper_ratio"),
                speed_ratio=metrics.get("speed_ratio"),
                onnx_speed_ratio=metrics.get("onnx_speed_ratio"),
                latency_p50_ms=metrics.get("latency_p50_ms"),
                recovered_percent=recovered.get(student.key),
                failure=student.failure,
                stopped=student.stopped,
                group=student.group,
                run_id=student.run_id or "",
                metrics={metric: value for metric, value in metrics.items() if not metric.startswith(prefix)},
            )
        )
    return rows


def _facts(job: OpenedJob[SweepJob], key: str, teacher: TeacherResult, run_id: str) -> dict[str, str]:
    config, examples = job.config, evaluation_examples(job.task, job.config)
    tags = metric_tags(examples, config)
    facts = {
        "task": config.task.name,
        "model": config.model.name,
        "recipe": config.recipe.name,
        "experiment": config.experiment or "",
        "data": job.task.fingerprint,
        "scored on": f"{len(examples)} examples of the {tags['dq.split']} split",
        "metric": tags["dq.metric_signature"],
        "seeds": ", ".join(map(str, config.sweep.seed_list(config.seed))),
        "sweep": key,
        "parent run": run_id,
        "teacher run": teacher.run_id or "",
        "git commit": lineage().get("mlflow.source.git.commit", "unknown"),
        "written by": WRITTEN_BY,
        "written": f"{datetime.now().astimezone():%Y-%m-%d %H:%M %Z}",
    }
    return {name: text for name, text in facts.items() if text}


def _curves(config: SweepJob, students: list[StudentResult], names: list[str]) -> list[Curve]:
    """Those of failed students, too: they show why."""
    tracker, curves = open_tracker(config), []
    drawn = [
        (student, name, metric)
        for student, name in zip(students, names, strict=True)
        for metric in curve_metrics(student.metrics)
    ]
    most = points_each(len(drawn))
    for student, name, metric in drawn:
        points = tracker.history(student.run_id, metric) if student.run_id else []
        if len(points) > 1:
            curves.append(Curve(metric=metric, name=name, group=student.group, points=thinned(points, most)))
    return curves


def _samples(
    job: OpenedJob[SweepJob], key: str, teacher: TeacherResult, students: list[StudentResult], names: list[str]
) -> list[Sample]:
    """The first examples beside what every model made of them."""
    examples, num = evaluation_examples(job.task, job.config), job.config.evaluation.num_samples
    few = examples.select(range(min(num, len(examples))))
    files = {TEACHER: Path(teacher.folder).parent / PREDICTIONS}
    for student, name in zip(students, names, strict=True):
        if student.failure is None and student.stopped is None:
            files[name] = job.storage.sweep(key) / "students" / student.key / PREDICTIONS
    written: dict[str, list[str]] = {}
    for name, file in files.items():
        if file.is_file():
            written[name] = read_predictions(file)[0]
        else:
            log.warning(f"{name}: {file} is missing, so the samples do not show this model")
    return [
        Sample(source=source, references=references, outputs={name: texts[i] for name, texts in written.items()})
        for i, (source, references) in enumerate(zip(few["source"][:], references_of(few), strict=True))
    ]
