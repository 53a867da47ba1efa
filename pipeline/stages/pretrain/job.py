"""The job `bort_pretrain`: data, the teacher, then a small model with its help and one without."""

from __future__ import annotations

import logging
import shutil
from typing import Any

from pipeline.cluster.ray_train import run_workers
from pipeline.config.ignored import say_ignored
from pipeline.config.jobs.bort_pretrain import PretrainJob
from pipeline.config.load import to_yaml
from pipeline.console.tables import markdown_table, text_table
from pipeline.stages.job import OpenedJob, open_job
from pipeline.stages.memory import num_parameters
from pipeline.stages.pretrain.checks import check_possible
from pipeline.stages.pretrain.cohorts import CHECKPOINTS, Cohort, cohorts_of
from pipeline.stages.pretrain.curve import Curve, looked_at
from pipeline.stages.pretrain.ignored import ignored
from pipeline.stages.pretrain.plan import DISTILLED, PretrainPlan, damage_of, plan_pretraining, plan_table
from pipeline.stages.pretrain.precheck import check_pretraining
from pipeline.stages.pretrain.report import summary, write_report
from pipeline.stages.pretrain.results import CURVE, Pretrained, result_table
from pipeline.stages.pretrain.room import check_pretraining_room
from pipeline.stages.pretrain.worker import PretrainWork, pretrain_models
from pipeline.stages.runs import common_params, common_tags, open_tracker, start_run
from pipeline.stages.teacher import fine_tune
from pipeline.stages.teacher.finished import TeacherResult
from pipeline.storage.lease import lease
from pipeline.storage.sealed import is_sealed, put_aside, seal_as_found
from pipeline.storage.sealed_json import sealed_json
from pipeline.tracking.run import Run
from pipeline.tracking.tracker import RunSpec

REPORT_NOTE = "Curves, tables and configuration: artifact `report/report.html`."

log = logging.getLogger(__name__)


def dry_run(config: PretrainJob) -> dict[str, Any]:
    """Say what `run` would do: who is trained, how large, for how many steps, and what is finished.

    Returns:
        the document printed by the job.
    """
    job, plan = _open(config, copies=False)
    cohorts = _announced(job, plan)
    needed = check_pretraining_room(job, plan, cohorts) if cohorts else 0
    return {
        "status": "planned",
        "key": plan.key,
        "folder": str(plan.folder),
        "models": [model.name for model in plan.models],
        "num_parameters": plan.num_parameters,
        "num_steps": plan.num_steps,
        "worker_bytes": int(needed),
        "is_finished": not plan.left,
    }


def run(config: PretrainJob) -> dict[str, Any]:
    """Pre-train, or find it finished.

    Returns:
        the document printed by the job: where the model lies, how good it is, and how soon it was.
    """
    job, plan = _open(config)
    cohorts = _announced(job, plan)
    _say_other_looks(job.config, plan)
    if plan.left or plan.document() is None:
        memory_bytes = check_pretraining_room(job, plan, cohorts) if cohorts else 0.0
        teacher = fine_tune.run(job.config, job.storage, job.task)
        with lease(plan.folder, f"pre-training {plan.key}", wait=True):
            _set_damaged_aside(plan)
            if plan.left or plan.document() is None:  # else the one waited for has finished it
                return _pretrain(job, plan, teacher, memory_bytes)
    for name in plan.done:
        if not is_sealed(model := plan.one(name).model):
            seal_as_found(model)
    log.info(f"pre-training {plan.key}: found finished in {plan.folder}")
    document = plan.document()
    assert document is not None, "it is told"
    _finish_runs(job, document)
    return document


def _open(config: PretrainJob, *, copies: bool = True) -> tuple[OpenedJob[PretrainJob], PretrainPlan]:
    """Everything that is checked before anything is trained, and what will be done."""
    check_pretraining(config)
    job = open_job(config, copies_model=copies)
    plan = plan_pretraining(job, copies=copies)
    check_possible(job, plan)
    say_ignored(config, ignored(config))
    return job, plan


def _announced(job: OpenedJob[PretrainJob], plan: PretrainPlan) -> list[Cohort]:
    """What is left to be trained, as people are told."""
    cohorts = cohorts_of(plan)
    going_on = {model.name for cohort in cohorts if cohort.continues for model in cohort.trained}
    log.info(f"\n{text_table(plan_table(plan, job, going_on))}\n")
    return cohorts


def _say_other_looks(config: PretrainJob, plan: PretrainPlan) -> None:
    """Warn of models that are finished and were looked at after other steps than those that are asked for now."""
    asked = config.pretraining.validate_every_steps
    for name in plan.done:
        steps = [point.step for point in Curve(plan.one(name).folder / CURVE).validated]
        if steps != looked_at(plan.num_steps, asked):
            log.warning(
                f"ignored: pretraining.validate_every_steps={asked} of the model '{name}', which is finished: it was "
                f"looked at {len(steps)} times, first after {steps[0]} steps"
            )


def _set_damaged_aside(plan: PretrainPlan) -> None:
    """What is finished and damaged makes room for what is made again: a model from its beginning, a document alone."""
    for part in plan.parts:
        if part.exists() and (damage := damage_of(part)) is not None:
            what = "the document is written" if part == plan.result else "the models that need it are trained"
            put_aside(damage, part, f"{what} again")


def _finish_runs(job: OpenedJob[PretrainJob], document: dict[str, Any]) -> None:
    """Nothing else would continue finished runs, should MLflow have been away at their end."""
    tracker = open_tracker(job.config)
    for run_id in (*document["run_ids"].values(), document["run_id"]):
        if run_id is not None and tracker.is_there(run_id):
            tracker.finish_left(run_id)


def _pretrain(
    job: OpenedJob[PretrainJob], plan: PretrainPlan, teacher: TeacherResult, memory_bytes: float
) -> dict[str, Any]:
    """Train who is left, and tell of all that is done.

    Returns:
        the document.
    """
    config = job.config
    with _start_run(job, plan, teacher) as parent:
        assert parent.run_id is not None
        for cohort in cohorts_of(plan):
            work = PretrainWork(
                config=config,
                task=job.task,
                teacher_result=teacher,
                start=plan.model,
                cohort=cohort,
                folder=plan.folder,
                parent_run_id=parent.run_id,
            )
            try:
                run_workers(
                    pretrain_models,
                    work,
                    config.cluster,
                    name=f"pretraining-{plan.key}",
                    storage_path=job.storage.root / "ray",
                    memory_bytes=memory_bytes,
                )
            except BaseException as error:  # a worker that was killed could not say so itself
                for model in cohort.trained:
                    open_tracker(config).fail_if_running("pretrained", model.key, f"{type(error).__name__}: {error}")
                raise
        document = _finish(job, plan, teacher, parent)
    _finish_runs(job, document)  # of models that were trained by a job that did not come so far
    return document


def _finish(job: OpenedJob[PretrainJob], plan: PretrainPlan, teacher: TeacherResult, parent: Run) -> dict[str, Any]:
    """Report, run and document of all models that are done; the last is what says so."""
    done = Pretrained.read(plan.folder, plan.done, num_parameters(job.model_config), teacher.size_bytes)
    report = write_report(job, plan, done, parent.run_id or "")
    parent.artifacts(report, "report")
    told = summary(done, job.config.evaluation.split, plan.num_steps)
    parent.tags({"mlflow.note.content": "\n\n".join([REPORT_NOTE, *told, markdown_table(result_table(done))])})
    for name, one in done.models.items():
        metrics = {**one.held_out.metrics(job.config.evaluation.split), "tokens_per_second": one.tokens_per_second}
        parent.metrics({f"{name}_{metric}": value for metric, value in metrics.items()}, plan.num_steps)
    log.info(
        f"\n{text_table(result_table(done))}\n\nreport: {report / 'report.html'}\nruns: {job.storage.root} (make ui)"
    )
    document = {
        "status": "finished",
        "key": plan.key,
        "folder": done.models[DISTILLED].folder,
        "folders": {name: one.folder for name, one in done.models.items()},
        "teacher": teacher.folder,
        **done.document(),
        "num_steps": plan.num_steps,
        "num_parameters": plan.num_parameters,
        "run_id": parent.run_id,
        "run_ids": {name: one.run_id for name, one in done.models.items()},
        "report": str(report),
    }
    sealed_json(plan.result, document)
    shutil.rmtree(plan.folder / CHECKPOINTS, ignore_errors=True)  # until now a killed job would have gone on from them
    return document


def _start_run(job: OpenedJob[PretrainJob], plan: PretrainPlan, teacher: TeacherResult) -> Run:
    config = job.config
    spec = RunSpec(
        name=f"pretraining {config.task.name} {plan.model.name}",
        key=plan.key,
        kind="pretraining",
        params=common_params(config),
        config=to_yaml(config),
        tags={**common_tags(config), "dq.data": job.task.fingerprint, "dq.teacher_run": teacher.run_id or ""},
    )
    return start_run(config, spec)
