"""Stage: train a cohort of students on one teacher pass, pack each, evaluate what was packed."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import datasets
import torch

from pipeline.cluster.ray_train import run_workers
from pipeline.config.build import build
from pipeline.config.load import config_hash, to_public_dict, to_yaml
from pipeline.config.schema import JobConfig, StudentConfig
from pipeline.data.batches import Batch
from pipeline.distillation.objective import DistillationObjective, Signals, TaskObjective, signals_of
from pipeline.export.package import PackageInfo, file_bytes, load_package, write_package
from pipeline.models import bart
from pipeline.models.load import load_model
from pipeline.quantization.footprint import rule_p_bytes
from pipeline.quantization.packed_layers import convert
from pipeline.stages.data import PreparedTask, as_payload
from pipeline.stages.evaluate import evaluate_examples, evaluation_examples
from pipeline.stages.job import OpenedJob
from pipeline.stages.learner import (
    make_engine,
    num_training_steps,
    train_with_checkpoints,
    training_batches,
    worker_device,
)
from pipeline.stages.plan import StudentPlan, plan_students, scheme_of_student, sweep_key
from pipeline.stages.runs import common_tags, open_tracker, start_run
from pipeline.stages.storage import whole_folder, write_json
from pipeline.stages.teacher import TeacherResult
from pipeline.tracking.progress import say
from pipeline.tracking.run import SilentRun
from pipeline.tracking.tracker import FoundRun, RunSpec
from pipeline.training.checkpoint import Checkpointer
from pipeline.training.collective import barrier, rank
from pipeline.training.loop import Learner
from pipeline.training.optim import linear_schedule
from pipeline.training.random_stream import RandomStream


@dataclass(frozen=True, kw_only=True)
class StudentResult:
    """A student after training: its run, its metrics, why it failed if it did."""

    name: str
    key: str
    run_id: str | None
    failure: str | None
    metrics: dict[str, float]


def run(job: OpenedJob, teacher: TeacherResult, parent_run_id: str) -> list[StudentResult]:
    """Train the students that MLflow does not know as finished, as one cohort.

    Raises:
        UserError: a depth or layer map that the teacher does not have.
    """
    config, storage = job.config, job.storage
    key = sweep_key(config, teacher)
    plans = plan_students(job, teacher)
    tracker = open_tracker(config)
    unfinished = [plan for plan in plans if (found := tracker.find("student", plan.key)) is None or not found.finished]
    for plan in plans:
        if plan not in unfinished:
            say(f"student {plan.name}: found finished")
    if unfinished:
        folder = storage.sweep(key)
        cohort = config_hash([plan.key for plan in unfinished])
        payload = as_payload(
            config,
            job.task,
            teacher=asdict(teacher),
            students=[asdict(plan) for plan in unfinished],
            folder=str(folder),
            cohort=cohort,
            parent_run_id=parent_run_id,
        )
        try:
            run_workers(
                train_students, payload, config.cluster, name=f"cohort-{cohort}", storage_path=storage.root / "ray"
            )
        except Exception as error:
            tracker.fail_unfinished(parent_run_id, str(error))  # a worker that was killed could not
            raise
    return _results(tracker.children(parent_run_id), [plan.key for plan in plans])


def _results(children: list[FoundRun], first: list[str]) -> list[StudentResult]:
    """All students of the sweep: those asked for now in their order, then those of earlier submissions."""
    by_key = {child.tags["dq.key"]: child for child in children}
    keys = [*first, *sorted(set(by_key) - set(first), key=lambda key: by_key[key].name)]
    return [
        StudentResult(
            name=by_key[key].name,
            key=key,
            run_id=by_key[key].run_id,
            failure=None if by_key[key].finished else by_key[key].tags.get("dq.failure", "not finished"),
            metrics=by_key[key].metrics,
        )
        for key in keys
    ]


def train_students(payload: dict[str, Any]) -> None:
    """Worker: train this rank's share of a cohort, then pack and evaluate every student that is left."""
    config, task = build(JobConfig, payload["config"]), PreparedTask(**payload["task"])
    teacher_result, folder = TeacherResult(**payload["teacher"]), Path(payload["folder"])
    plans = [StudentPlan(**{**plan, "config": build(StudentConfig, plan["config"])}) for plan in payload["students"]]
    tokenizer, device, train = task.tokenizer(), worker_device(config.cluster), config.student
    checkpoints = folder / "checkpoints" / f"{payload['cohort']}-{config.cluster.layout}"
    teacher = load_model(Path(teacher_result.folder), device)
    batches = training_batches(task.split("train"), train, config, tokenizer, teacher.config.decoder_start_token_id)
    num_steps = num_training_steps(batches, train)
    with ExitStack() as runs:
        started = [runs.enter_context(_start_run(config, plan, teacher_result, payload)) for plan in plans]
        learners = [
            _learner(config, plan, teacher, run, num_steps, device) for plan, run in zip(plans, started, strict=True)
        ]
        train_with_checkpoints(
            learners,
            batches,
            num_steps,
            train,
            stage=f"cohort of {len(learners)}",
            folder=checkpoints,
            device=device,
            teacher_pass=lambda batch: _teacher_pass(teacher, batch, config.cluster.precision),
        )
        for plan, learner, run in zip(plans, learners, started, strict=True):
            if learner.failure is not None:
                _say_once(f"student {plan.name} FAILED: {learner.failure}")
                continue
            packed = folder / "students" / plan.key / "packed"
            _pack(config, plan, learner, teacher, tokenizer, packed)
            model, _ = load_package(packed)
            examples = evaluation_examples(task, config)
            scores, predictions = evaluate_examples(model.to(device), tokenizer, examples, config)
            metrics = _headline_metrics(config, plan, scores, packed, teacher_result, teacher.config, model.config)
            run.metrics(metrics, num_steps)
            _say_once(f"student {plan.name}: rougeLsum {scores['rougeLsum']:.2f}, {metrics['size_bytes']:.0f} bytes")
            if rank() == 0:
                samples = _samples(examples, predictions, config.evaluation.num_samples)
                write_json(packed.parent / "result.json", {"name": plan.name, "metrics": metrics})
                write_json(packed.parent / "predictions.json", samples)
                run.artifacts(packed, "packed")
                run.table(samples, "predictions.json")
            barrier()
        barrier()
    Checkpointer(checkpoints).clear()


def _learner(
    config: JobConfig, plan: StudentPlan, teacher: Any, run: SilentRun, num_steps: int, device: torch.device
) -> Learner:
    train = config.student
    peak = train.learning_rate if plan.config.learning_rate is None else plan.config.learning_rate
    student = bart.build_student(teacher, plan.encoder_map, plan.decoder_map, train.dropout)
    bart.prepare_student(student, scheme_of_student(config, plan))
    objective = (
        DistillationObjective(
            weights=config.recipe.distillation,
            encoder_map=plan.encoder_map,
            decoder_map=plan.decoder_map,
            label_smoothing=train.label_smoothing,
        )
        if plan.config.distil
        else TaskObjective(label_smoothing=train.label_smoothing)
    )
    return Learner(
        name=plan.name,
        engine=make_engine(student.train().to(device), train, config.cluster),
        objective=objective,
        learning_rate=lambda step: linear_schedule(step, num_steps, train.warmup_fraction, peak),
        listener=run,
        random=RandomStream(config.seed + rank(), device),
    )


@torch.no_grad()
def _teacher_pass(teacher: Any, batch: Batch, precision: str) -> Signals:
    with torch.autocast(batch.input_ids.device.type, torch.bfloat16, enabled=precision == "bf16"):
        return signals_of(teacher, batch)


def _pack(config: JobConfig, plan: StudentPlan, learner: Learner, teacher: Any, tokenizer: Any, target: Path) -> None:
    """Convert a replica of the trained student and write it as a package; frees the engine."""
    state = learner.engine.whole_state()
    learner.engine.close()
    if rank() == 0:
        scheme = scheme_of_student(config, plan)
        student = bart.build_student(teacher, plan.encoder_map, plan.decoder_map, config.student.dropout)
        student.load_state_dict(state)
        bart.prepare_student(student, scheme)
        convert(student, bart.sites_of(student), scheme)
        info = PackageInfo(
            scheme=scheme,
            encoder_map=plan.encoder_map,
            decoder_map=plan.decoder_map,
            decoding=config.task.decoding,
            source_prefix=config.task.source_prefix,
            max_source_tokens=config.task.max_source_tokens,
        )
        with whole_folder(target) as partial:
            write_package(partial, student, tokenizer, info)
    barrier()


def _headline_metrics(
    config: JobConfig,
    plan: StudentPlan,
    scores: dict[str, float],
    packed: Path,
    teacher: TeacherResult,
    teacher_shape: Any,
    student_shape: Any,
) -> dict[str, float]:
    """Scores and sizes of a student: bytes on disk, and the papers' formula beside them."""
    scheme, size_bytes = scheme_of_student(config, plan), file_bytes(packed)
    paper_bytes = rule_p_bytes(bart.shape_of(student_shape), scheme.weight_bits, scheme.embedding_bits)
    return {f"{config.evaluation.split}_{name}": value for name, value in scores.items()} | {
        "size_bytes": float(size_bytes),
        "size_ratio": teacher.size_bytes / size_bytes,
        "rule_p_bytes": paper_bytes,
        "rule_p_ratio": rule_p_bytes(bart.shape_of(teacher_shape), 32, 32) / paper_bytes,
        "rougeLsum_lost": teacher.scores["rougeLsum"] - scores["rougeLsum"],
    }


def _samples(examples: datasets.Dataset, predictions: list[str], num: int) -> dict[str, list[str]]:
    """The first predictions beside sources and references."""
    few = examples.select(range(min(num, len(examples))))
    return {"source": few["source"][:], "reference": few["target"][:], "prediction": predictions[: len(few)]}


def _say_once(text: str) -> None:
    if rank() == 0:
        say(text)


def _start_run(config: JobConfig, plan: StudentPlan, teacher: TeacherResult, payload: dict[str, Any]) -> SilentRun:
    tags = {"dq.teacher_run": teacher.run_id or "", "dq.data": payload["task"]["fingerprint"], **common_tags(config)}
    spec = RunSpec(
        name=plan.name,
        key=plan.key,
        kind="student",
        parent_run_id=payload["parent_run_id"],
        params={
            **{name: value for name, value in to_public_dict(config).items() if name != "sweep"},
            **{name: value for name, value in asdict(plan.config).items() if value is not None},
            "encoder_map": plan.encoder_map,
            "decoder_map": plan.decoder_map,
            "teacher_key": teacher.key,
        },
        config=to_yaml(config),
        tags=tags,
    )
    return start_run(config, spec)
