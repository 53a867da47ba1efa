"""What the workers of a pre-training do: train the models on the same batches, look at them on the way, score them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.config.errors import UserError
from pipeline.config.jobs.bort_pretrain import PretrainJob
from pipeline.config.load import to_yaml
from pipeline.config.sections.model import ModelConfig
from pipeline.data.batches import BatchPlan
from pipeline.export.package import file_bytes
from pipeline.models.load import load_model
from pipeline.stages.evaluate import evaluation_examples, target_scores, validate
from pipeline.stages.prepare_data import PreparedTask
from pipeline.stages.pretrain.cohorts import Cohort
from pipeline.stages.pretrain.curve import Curve, Point, looked_at
from pipeline.stages.pretrain.learners import SmallModel, small_learner
from pipeline.stages.pretrain.plan import ModelPlan
from pipeline.stages.pretrain.results import CURVE, RESULT, TEACHER_SCORES, HeldOut, SmallResult
from pipeline.stages.runs import common_params, common_tags, start_run
from pipeline.stages.sweep.student.objectives import teacher_pass
from pipeline.stages.teacher.finished import TeacherResult
from pipeline.stages.training import num_training_steps, train_with_checkpoints, training_batches, worker_device
from pipeline.storage.sealed import sealed_folder
from pipeline.storage.sealed_json import sealed_json
from pipeline.tracking.run import NoOpRun, Run
from pipeline.tracking.tracker import RunSpec
from pipeline.training.collective import barrier, rank
from pipeline.training.loop import NoHooks, Progress
from pipeline.training.stopwatch import TEACHER, Stopwatch

if TYPE_CHECKING:
    from transformers import PreTrainedModel

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class PretrainWork:
    """What the workers of a pre-training are sent.

    Args:
        config: the job.
        task: its data.
        teacher_result: the teacher.
        start: the small model before its first step.
        cohort: who is trained.
        folder: of the teacher's scores.
        parent_run_id: run of the pre-training.
    """

    config: PretrainJob
    task: PreparedTask
    teacher_result: TeacherResult
    start: ModelConfig
    cohort: Cohort
    folder: Path
    parent_run_id: str


def pretrain_models(work: PretrainWork) -> None:
    """Worker: train this rank's share; rank 0 writes models, curves and results."""
    config, train, task = work.config, work.config.student, work.task
    tokenizer, device = task.tokenizer(), worker_device(config.cluster)
    teacher = load_model(Path(work.teacher_result.folder), device)
    batches = training_batches(task.split("train"), train, config, tokenizer, teacher.config, config.seed)
    num_steps, stopwatch = num_training_steps(batches, train), Stopwatch(device)
    with ExitStack() as stack:
        plans, waiting = work.cohort.models, work.cohort.waiting
        runs = [stack.enter_context(_start_run(plan, work)) for plan in plans]
        models = [
            small_learner(plan, work.start, teacher, tokenizer, config, num_steps=num_steps, run=run, device=device)
            for plan, run in zip(plans, runs, strict=True)
        ]
        for model in models:
            if model.plan.name in waiting:
                model.learner.stop("takes part no more")
        learners = [model.learner for model in models]
        looks = _Looks(work=work, models=models, stopwatch=stopwatch, num_steps=num_steps)
        train_with_checkpoints(
            learners,
            batches,
            num_steps,
            train,
            stage="pre-training",
            folder=work.cohort.checkpoints,
            device=device,
            teacher_pass=teacher_pass(teacher, [one.objective for one in learners], config.cluster.precision),
            hooks=looks,
            timed=stopwatch.of,
            needs_all=True,  # one beside the other is what is measured
        )
        trained = [model for model in models if model.plan.name not in waiting]
        for model in trained:
            if model.learner.failure is not None:
                given = f"the model '{model.plan.name}' diverged: {model.learner.failure}"
                raise UserError(given, "finite losses", "lower student.learning_rate")
        _finish(work, trained, looks, teacher, num_source_tokens(batches.plan, num_steps))


def _finish(
    work: PretrainWork, models: Sequence[SmallModel], looks: _Looks, teacher: PreTrainedModel, num_tokens: int
) -> None:
    """Score everybody on the reported split; models and results become files."""
    config, tokenizer = work.config, work.task.tokenizer()
    theirs = _held_out(teacher, work)
    for model in models:
        found, curve = _held_out(model.whole(), work), looks.curves[model.plan.name]
        model.run.metrics(found.metrics(config.evaluation.split), looks.num_steps)
        if rank() == 0:
            target = model.plan.model
            with sealed_folder(target) as partial:
                model.replica.save_pretrained(partial)
                tokenizer.save_pretrained(partial)
            seconds = curve.seconds_at(looks.num_steps)
            result = SmallResult(
                name=model.plan.name,
                folder=str(target),
                size_bytes=file_bytes(target),
                num_steps=looks.num_steps,
                num_parameters=sum(parameter.numel() for parameter in model.replica.parameters()),
                held_out=found,
                seconds=seconds,
                tokens_per_second=num_tokens / max(seconds, 1e-9),
                run_id=model.run.run_id,
            )
            sealed_json(model.plan.folder / RESULT, asdict(result))
    if rank() == 0:
        sealed_json(work.folder / TEACHER_SCORES, asdict(theirs))
    barrier()


@dataclass(frozen=True, kw_only=True)
class _Looks(NoHooks):
    """After every so many steps, and after the last: the loss of every model on the validation split.

    Seconds are noted with every checkpoint, too, so that those of a resumed run go on where it does.
    """

    work: PretrainWork
    models: Sequence[SmallModel]
    stopwatch: Stopwatch
    num_steps: int
    curves: dict[str, Curve] = field(default_factory=dict)
    before: dict[str, float] = field(default_factory=dict)  # seconds before this process began

    def __post_init__(self) -> None:
        self.curves.update({one.plan.name: Curve(one.plan.folder / CURVE) for one in self.models})

    def after_step(self, progress: Progress, losses: dict[str, float]) -> None:
        """See `Hooks.after_step`."""
        step, config = progress.step, self.work.config
        if not self.before:
            self.before.update({name: curve.seconds_at(step - 1) for name, curve in self.curves.items()})
        looks = step in looked_at(self.num_steps, config.pretraining.validate_every_steps)
        if not looks and step % config.student.checkpoint_every_steps:
            return
        for model in self.models:
            if model.learner.active:
                self._look(model, step, looks)

    def _look(self, model: SmallModel, step: int, looks: bool) -> None:
        name, used = model.plan.name, self.stopwatch.seconds
        seconds = self.before[name] + used[name] + (used[TEACHER] if model.learner.objective.needs_teacher else 0.0)
        loss = accuracy = None
        if looks:
            found = validate(model.whole(), self.work.task, self.work.config)
            loss, accuracy = found["loss"], found["masked_accuracy"]
            held_out = HeldOut(loss=loss, masked_accuracy=accuracy)
            model.run.metrics({**held_out.metrics("validation"), "training_seconds": seconds}, step)
            if rank() == 0:
                log.info(f"{name}, step {step}: loss {loss:.3f}, masked accuracy {accuracy:.2f} %")
        point = Point(step=step, seconds=seconds, loss=loss, masked_accuracy=accuracy)
        self.curves[name].add(point, is_writing=rank() == 0)


def num_source_tokens(plan: BatchPlan, num_steps: int) -> int:
    """Source tokens, padding aside, of so many optimiser steps."""
    total, epoch = 0, 0
    while num_steps > 0:
        for step in plan.steps(epoch):
            if num_steps == 0:
                break
            total += sum(plan.lengths[i][0] for ranks in step.micro_batches for rows in ranks for i in rows)
            num_steps -= 1
        epoch += 1
    return total


def _held_out(model: PreTrainedModel, work: PretrainWork) -> HeldOut:
    found = target_scores(model, evaluation_examples(work.task, work.config), work.task, work.config)
    return HeldOut(loss=found.loss, masked_accuracy=found.accuracy)


def _start_run(plan: ModelPlan, work: PretrainWork) -> Run:
    """The run of a model; nothing is written of one that takes part no more."""
    config = work.config
    if plan.name in work.cohort.waiting:
        return NoOpRun()
    spec = RunSpec(
        name=f"{work.start.name} {plan.name}",
        key=plan.key,
        kind="pretrained",
        parent_run_id=work.parent_run_id,
        params=common_params(config, without=("teacher",)),
        config=to_yaml(config),
        tags={**common_tags(config), "dq.data": work.task.fingerprint},
    )
    return start_run(config, spec)
