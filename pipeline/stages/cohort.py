"""What the workers of a cohort do: train it on one teacher pass, pack each student, evaluate what was packed."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

import datasets
import torch

from pipeline.config.build import build
from pipeline.config.load import to_public_dict, to_yaml
from pipeline.config.schema import JobConfig, StudentConfig
from pipeline.data.batches import Batch
from pipeline.distillation.objective import DistillationObjective, Signals, TaskObjective, signals_of
from pipeline.distillation.published import PublishedObjective
from pipeline.export.package import PackageInfo, file_bytes, load_package, write_package
from pipeline.models import bart
from pipeline.models.load import load_model
from pipeline.quantization.footprint import rule_p_bytes
from pipeline.quantization.packed_layers import convert
from pipeline.stages.data import PreparedTask
from pipeline.stages.evaluate import evaluate_examples, evaluation_examples
from pipeline.stages.learner import (
    make_engine,
    num_training_steps,
    train_with_checkpoints,
    training_batches,
    worker_device,
)
from pipeline.stages.plan import StudentPlan, recipe_of, scheme_of_student
from pipeline.stages.runs import common_tags, start_run
from pipeline.stages.storage import whole_folder, write_json
from pipeline.stages.teacher import TeacherResult
from pipeline.tracking.progress import say
from pipeline.tracking.run import SilentRun
from pipeline.tracking.tracker import RunSpec
from pipeline.training.checkpoint import Checkpointer
from pipeline.training.collective import barrier, rank
from pipeline.training.loop import Learner, Objective
from pipeline.training.optim import linear_schedule
from pipeline.training.random_stream import RandomStream


def train_students(payload: dict[str, Any]) -> None:
    """Worker: train this rank's share of a cohort, then pack and evaluate every student that is left."""
    config, task = build(JobConfig, payload["config"]), PreparedTask(**payload["task"])
    teacher_result, finished = TeacherResult(**payload["teacher"]), payload["finished"]
    plans = [StudentPlan(**{**plan, "config": build(StudentConfig, plan["config"])}) for plan in payload["students"]]
    tokenizer, device, train = task.tokenizer(), worker_device(config.cluster), config.student
    teacher = load_model(Path(teacher_result.folder), device)
    batches = training_batches(task.split("train"), train, config, tokenizer, teacher.config.decoder_start_token_id)
    num_steps = num_training_steps(batches, train)
    with ExitStack() as runs:
        learners = [
            _learner(config, plan, teacher, runs.enter_context(run), num_steps, device)
            for plan in plans
            for run in [SilentRun() if plan.key in finished else _start_run(config, plan, teacher_result, payload)]
        ]
        train_with_checkpoints(
            learners,
            batches,
            num_steps,
            train,
            stage=f"cohort of {len(learners)}",
            folder=Path(payload["checkpoints"]),
            device=device,
            teacher_pass=lambda batch: _teacher_pass(teacher, batch, config.cluster.precision),
        )
        for plan, learner in zip(plans, learners, strict=True):
            if plan.key in finished:
                continue
            packed = plan.packed(Path(payload["folder"]))
            _pack(config, plan, learner, teacher, tokenizer, packed)
            if learner.failure is not None:
                _say_once(f"student {plan.name} FAILED: {learner.failure}")
                continue
            _evaluate(config, plan, learner, task, teacher_result, teacher.config, packed, num_steps)
    Checkpointer(Path(payload["checkpoints"])).clear()


def _evaluate(
    config: JobConfig,
    plan: StudentPlan,
    learner: Learner,
    task: PreparedTask,
    teacher: TeacherResult,
    teacher_shape: Any,
    packed: Path,
    num_steps: int,
) -> None:
    """Score the package on disk and end the student's run; a failure of the next student is not its own."""
    run = learner.listener
    assert isinstance(run, SilentRun)
    model, _ = load_package(packed)
    examples = evaluation_examples(task, config)
    scores, predictions = evaluate_examples(model.to(worker_device(config.cluster)), task.tokenizer(), examples, config)
    metrics = _headline_metrics(config, plan, scores, packed, teacher, teacher_shape, model.config)
    run.metrics(metrics, num_steps)
    _say_once(f"student {plan.name}: rougeLsum {scores['rougeLsum']:.2f}, {metrics['size_bytes']:.0f} bytes")
    if rank() == 0:
        samples = _samples(examples, predictions, config.evaluation.num_samples)
        write_json(packed.parent / "result.json", {"name": plan.name, "metrics": metrics})
        write_json(packed.parent / "predictions.json", samples)
        run.artifacts(packed, "packed")
        run.table(samples, "predictions.json")
    run.close()
    barrier()


def _learner(
    config: JobConfig, plan: StudentPlan, teacher: Any, run: SilentRun, num_steps: int, device: torch.device
) -> Learner:
    train = config.student
    peak = train.learning_rate if plan.config.learning_rate is None else plan.config.learning_rate
    student = bart.build_student(teacher, plan.encoder_map, plan.decoder_map, train.dropout)
    bart.prepare_student(student, scheme_of_student(config, plan))
    return Learner(
        name=plan.name,
        engine=make_engine(student.train().to(device), train, config.cluster),
        objective=_objective(config, plan),
        learning_rate=lambda step: linear_schedule(step, num_steps, train.warmup_fraction, peak),
        listener=run,
        random=RandomStream(config.seed + rank(), device),
    )


def _objective(config: JobConfig, plan: StudentPlan) -> Objective:
    recipe, smoothing = recipe_of(config, plan.config), config.student.label_smoothing
    if not plan.config.distil:
        return TaskObjective(label_smoothing=smoothing)
    common: dict[str, Any] = {"weights": recipe.distillation, "label_smoothing": smoothing}
    common |= {"encoder_map": plan.encoder_map, "decoder_map": plan.decoder_map}
    if recipe.distillation.reduction == "tensor":
        return PublishedObjective(as_released=recipe.dqbart.as_released, **common)
    return DistillationObjective(**common)


@torch.no_grad()
def _teacher_pass(teacher: Any, batch: Batch, precision: str) -> Signals:
    with torch.autocast(batch.input_ids.device.type, torch.bfloat16, enabled=precision == "bf16"):
        return signals_of(teacher, batch)


def _pack(config: JobConfig, plan: StudentPlan, learner: Learner, teacher: Any, tokenizer: Any, target: Path) -> None:
    """Convert a replica of the trained student and write it as a package; frees the engine.

    The last update may have made a weight infinite, which no loss has seen: such a student fails here.
    """
    if learner.failure is not None:
        return
    state = learner.engine.whole_state()
    if broken := [name for name, tensor in state.items() if not torch.isfinite(tensor).all()]:
        learner.fail(f"non-finite {broken[0]} after the last optimiser step")
        return
    learner.engine.close()
    if rank() == 0:
        scheme = scheme_of_student(config, plan)
        student = bart.build_student(teacher, plan.encoder_map, plan.decoder_map, config.student.dropout)
        bart.prepare_student(student, scheme)
        student.load_state_dict(state)  # learned scales are part of it
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
    metrics = {f"{config.evaluation.split}_{name}": value for name, value in scores.items()} | {
        "size_bytes": float(size_bytes),
        "size_ratio": teacher.size_bytes / size_bytes,
        "rougeLsum_lost": teacher.scores["rougeLsum"] - scores["rougeLsum"],
    }
    if not scheme.quantisation.bits:  # the papers' formula knows one number of bits for all linear layers
        rule_p_ratio = rule_p_bytes(bart.shape_of(teacher_shape), 32, 32) / paper_bytes
        metrics |= {"rule_p_bytes": paper_bytes, "rule_p_ratio": rule_p_ratio}
    return metrics


def _samples(examples: datasets.Dataset, predictions: list[str], num: int) -> dict[str, list[str]]:
    """The first predictions beside sources and references."""
    few = examples.select(range(min(num, len(examples))))
    return {"source": few["source"][:], "reference": few["target"][:], "prediction": predictions[: len(few)]}


def _say_once(text: str) -> None:
    if rank() == 0:
        say(text)


def _start_run(config: JobConfig, plan: StudentPlan, teacher: TeacherResult, payload: dict[str, Any]) -> SilentRun:
    tags = {"dq.teacher_run": teacher.run_id or "", "dq.data": payload["task"]["fingerprint"], **common_tags(config)}
    tags["dq.recipe"] = f"{config.recipe.name} {plan.config.label}".strip()
    spec = RunSpec(
        name=plan.name,
        key=plan.key,
        kind="student",
        parent_run_id=payload["parent_run_id"],
        params={
            **{name: value for name, value in to_public_dict(config).items() if name != "sweep"},
            **{name: value for name, value in asdict(plan.config).items() if value is not None},
            "recipe": asdict(recipe_of(config, plan.config)),
            "encoder_map": plan.encoder_map,
            "decoder_map": plan.decoder_map,
            "teacher_key": teacher.key,
        },
        config=to_yaml(config),
        tags=tags,
    )
    return start_run(config, spec)
