"""The job `agora_finetune`: a teacher that labels, rounds of candidates, the best of them scored on the test split."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pipeline.augmentation.agora import AgoraResult, AgoraSettings, Round, agora
from pipeline.augmentation.examples import TextExample
from pipeline.config.jobs.agora_finetune import AgoraJob
from pipeline.config.load import to_yaml
from pipeline.console.tables import markdown_table, text_table
from pipeline.stages.agora.candidates import CandidateLearner
from pipeline.stages.agora.checks import check_data, check_possible, say_of_labeller
from pipeline.stages.agora.final_score import FinalScore, score_finally
from pipeline.stages.agora.generate import PointGenerator
from pipeline.stages.agora.ignored import say_useless
from pipeline.stages.agora.labeller_calls import AskedTeacher
from pipeline.stages.agora.labels import TeacherLabeller
from pipeline.stages.agora.page import summary, write_report
from pipeline.stages.agora.plan import AgoraPlan, plan_agora
from pipeline.stages.agora.points import Points, texts_of_splits
from pipeline.stages.agora.precheck import check_agora
from pipeline.stages.agora.report import document_of, round_table
from pipeline.stages.agora.round_run import log_round
from pipeline.stages.data_summary import as_document
from pipeline.stages.job import open_job
from pipeline.stages.runs import common_params, common_tags, start_run
from pipeline.stages.teacher import fine_tune
from pipeline.storage.lease import lease
from pipeline.tracking.run import Run
from pipeline.tracking.tracker import RunSpec

REPORT_NOTE = "Rounds, scores, added examples and configuration: artifact `report/report.html`."

log = logging.getLogger(__name__)


def dry_run(config: AgoraJob) -> dict[str, Any]:
    """Say what `run` would do: hyper-parameter sets, the candidate, rounds.

    Returns:
        the document printed by the job.
    """
    plan = _open(config, copies=False)
    job = plan.job
    return {
        "status": "planned",
        "agora": plan.key,
        "candidate": config.agora.candidate.name,
        "thetas": [theta.name for theta in plan.thetas],
        "max_rounds": config.agora.max_rounds,
        "max_trainings": config.agora.max_rounds * len(plan.thetas),
        "data": as_document(job.task),
    }


def run(config: AgoraJob) -> dict[str, Any]:
    """Train, learn from mistakes, train again; what an earlier submission has done is found.

    Returns:
        the document printed by the job.
    """
    plan = _open(config)
    job = plan.job
    teacher = fine_tune.run(job.config, job.storage, job.task)
    say_of_labeller(teacher, job.config)
    with lease(plan.shared_folder, f"agora {plan.base_key}"), _start_run(plan, teacher.run_id or "") as parent:
        assert parent.run_id is not None
        asked = AskedTeacher(plan, teacher)
        learner = CandidateLearner(plan, teacher, Points(plan, asked), parent.run_id)
        labeller = TeacherLabeller(plan, asked)
        result = _loop(plan, learner, labeller, parent.run_id)
        final = None
        if result.best is not None:
            best = learner.candidate(result.best.round_number, result.best.theta).plan
            final = score_finally(plan, best)
        return _finish(plan, asked, result, final, labeller.num_labelled, parent)


def _open(config: AgoraJob, *, copies: bool = True) -> AgoraPlan:
    """Everything that is checked before anything is trained, and what will be done."""
    check_agora(config)
    job = open_job(config, check_possible, copies_model=copies)
    check_data(job)
    say_useless(config)
    return plan_agora(job, copies=copies)


def _loop(plan: AgoraPlan, learner: CandidateLearner, labeller: TeacherLabeller, parent_run_id: str) -> AgoraResult:
    settings = plan.job.config.agora

    def ended(finished: Round, added: Sequence[TextExample]) -> None:
        log_round(plan, finished, added, parent_run_id)

    return agora(
        learner,
        labeller,
        PointGenerator(plan, texts_of_splits(plan)),
        num_thetas=len(plan.thetas),
        settings=AgoraSettings(
            max_rounds=settings.max_rounds,
            max_added=settings.max_added,
            rule=settings.pruning,
            patience=settings.patience,
        ),
        listener=ended,
    )


def _start_run(plan: AgoraPlan, teacher_run: str) -> Run:
    config = plan.job.config
    spec = RunSpec(
        name=f"agora {config.task.name} {config.model.name} {config.agora.points} of {config.agora.pool}",
        key=plan.key,
        kind="agora",
        params=common_params(config),
        config=to_yaml(config),
        tags={
            **common_tags(config),
            "dq.recipe": config.recipe.name,
            "dq.data": plan.job.task.fingerprint,
            "dq.teacher_run": teacher_run,
            "dq.contaminated": str(config.agora.contaminates).lower(),
        },
    )
    return start_run(config, spec)


def _finish(
    plan: AgoraPlan,
    teacher: AskedTeacher,
    result: AgoraResult,
    final: FinalScore | None,
    num_labelled: int,
    parent: Run,
) -> dict[str, Any]:
    """Report, run and document."""
    table = round_table(plan, result)
    document = document_of(plan, teacher, result, final, num_labelled)
    report = write_report(plan, table, document, result, parent.run_id or "")
    parent.artifacts(report, "report")
    parent.tags({"mlflow.note.content": "\n\n".join([REPORT_NOTE, *summary(document), markdown_table(table)])})
    if final is None:
        parent.failed(result.stop.value)
    else:
        parent.metrics({f"test_{name}": value for name, value in final.scores.items()}, len(result.rounds))
        parent.metrics({"size_bytes": float(final.size_bytes)}, len(result.rounds))
        parent.artifacts(Path(final.package), "packed")
    log.info(
        f"\n{text_table(table)}\n\nended: {result.stop}\n\nreport: {report / 'report.html'}\n"
        f"runs: {plan.job.storage.root} (make ui)"
    )
    status = "finished" if final is not None else "failed"
    return {
        "status": status,
        "run_id": parent.run_id,
        "report": str(report),
        **document,
        "teacher": asdict(teacher.result),
    }
