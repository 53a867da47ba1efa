"""Stage: fine-tune the teacher, validate every epoch, keep the best."""

from __future__ import annotations

import copy
import logging
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.cluster.ray_train import run_workers
from pipeline.config.errors import UserError
from pipeline.config.jobs import TrainsTeacher
from pipeline.config.keys import config_hash, decisions
from pipeline.config.load import to_yaml
from pipeline.distillation.objective import TaskObjective
from pipeline.export.package import file_bytes
from pipeline.models.load import load_model, load_teacher, set_dropout
from pipeline.stages.evaluate import (
    PREDICTIONS,
    evaluate_examples,
    evaluation_examples,
    metric_tags,
    standing,
    validate,
    write_predictions,
)
from pipeline.stages.prepare_data import PreparedTask, key_of
from pipeline.stages.runs import common_params, common_tags, open_tracker, start_run
from pipeline.stages.teacher.finished import (
    BEST,
    CHECKPOINTS,
    MODEL,
    RESULT,
    TeacherResult,
    is_finished,
    is_left_whole,
    result_of,
)
from pipeline.stages.training import (
    make_engine,
    num_training_steps,
    train_with_checkpoints,
    training_batches,
    worker_device,
)
from pipeline.storage.atomic import atomic_text
from pipeline.storage.layout import Storage
from pipeline.storage.lease import lease
from pipeline.storage.sealed import is_sealed, seal_as_found, sealed_folder
from pipeline.storage.sealed_json import read_sealed_json, sealed_json
from pipeline.tracking.run import Run
from pipeline.tracking.tracker import RunSpec
from pipeline.training.checkpoint import Checkpointer
from pipeline.training.collective import barrier, rank
from pipeline.training.loop import Learner, NoHooks, Progress
from pipeline.training.optim import make_schedule
from pipeline.training.random_stream import RandomStream

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class TeacherWork:
    """What the workers that fine-tune a teacher are sent.

    Args:
        config: the job.
        task: its data.
        key: of the teacher.
        folder: of its results.
    """

    config: TrainsTeacher
    task: PreparedTask
    key: str
    folder: Path


def teacher_key(config: TrainsTeacher, task: PreparedTask) -> str:
    """The name of a teacher: everything that decides its weights and scores, nothing else."""
    model = {"start": task.start, "tokenizer": key_of(task.tokenizer_folder)}
    if task.start == "scratch":
        model |= decisions(config.model.architecture)
        if config.model.family not in (None, "bart"):
            model["family"] = config.model.family
    return config_hash(
        task.fingerprint,  # stands for the corpus
        decisions(config.task, without=["corpus"]),
        model,
        decisions(config.teacher),
        decisions(config.evaluation, only=["split", "max_examples", "max_validation_examples"]),  # what is scored
        config.seed,
        config.cluster.precision,
    )


def run(config: TrainsTeacher, storage: Storage, task: PreparedTask) -> TeacherResult:
    """Fine-tune the teacher, or find it finished.

    Raises:
        UserError: whatever the configuration, the data or the cluster lacks.
    """
    key = teacher_key(config, task)
    folder = storage.teacher(key)
    if not is_finished(folder):
        with lease(folder, f"teacher {key}", wait=True):
            if not is_left_whole(folder):  # else the one waited for has finished it
                _train(config, storage, task, key, folder)
                return result_of(folder)
    result = result_of(folder)
    if not is_sealed(folder / MODEL):
        seal_as_found(folder / MODEL)
    log.info(f"teacher {key}: found finished in {folder}")
    _finish_run(config, result)
    return result


def _train(config: TrainsTeacher, storage: Storage, task: PreparedTask, key: str, folder: Path) -> None:
    work = TeacherWork(config=config, task=task, key=key, folder=folder)
    try:
        run_workers(train_teacher, work, config.cluster, name=f"teacher-{key}", storage_path=storage.root / "ray")
    except BaseException as error:
        open_tracker(config).fail_if_running("teacher", key, f"{type(error).__name__}: {error}")
        raise


def _finish_run(config: TrainsTeacher, result: TeacherResult) -> None:
    """Nothing else would continue the run of a finished teacher, should MLflow have been away at its end."""
    run_id = result.run_id
    if run_id is None:
        return
    tracker = open_tracker(config)
    if tracker.is_there(run_id):
        tracker.finish_left(run_id)
    else:
        log.warning(
            f"the teacher's run {run_id} is deleted in MLflow, or in another store: its curves cannot be looked at"
        )


def train_teacher(work: TeacherWork) -> None:
    """Worker: fine-tune on this rank's shard; rank 0 writes the model and its result."""
    config, task, folder = work.config, work.task, work.folder
    tokenizer, device, train = task.tokenizer(), worker_device(config.cluster), config.teacher
    model = load_teacher(config.model, tokenizer, config.task, config.seed, task.labels)
    set_dropout(model, train.dropout)
    replica = copy.deepcopy(model)
    batches = training_batches(task.split("train"), train, config, tokenizer, model.config, config.seed)
    num_steps = num_training_steps(batches, train)
    with _start_run(work) as run:
        learner = Learner(
            name="teacher",
            engine=make_engine(model.to(device), train, config.cluster),
            objective=TaskObjective(label_smoothing=train.label_smoothing),
            learning_rate=make_schedule(train, num_steps, train.learning_rate),
            listener=run,
            random=RandomStream(config.seed + rank(), device),
        )
        keep_best = _KeepBest(work, learner, replica.to(device), tokenizer)
        train_with_checkpoints(
            [learner],
            batches,
            num_steps,
            train,
            stage="teacher",
            folder=folder / CHECKPOINTS,
            device=device,
            hooks=keep_best,
        )
        if learner.failure is not None:
            raise UserError(f"the teacher diverged: {learner.failure}", "finite losses", "lower teacher.learning_rate")
        keep_best.finally_validate(num_steps)
        scores = _score(work, tokenizer, run, num_steps)
        if rank() == 0:
            _write_result(work, scores, run.run_id)
            Checkpointer(folder / CHECKPOINTS).clear()
        barrier()


def _score(work: TeacherWork, tokenizer: PreTrainedTokenizerBase, run: Run, num_steps: int) -> dict[str, float]:
    """Scores of the best model on the reported split; nothing where there are no references to compare with."""
    config, folder = work.config, work.folder
    if not config.task.facts.has_references:
        return {}
    model = load_model(folder / MODEL, worker_device(config.cluster))
    examples = evaluation_examples(work.task, config)
    scores, predictions = evaluate_examples(model, tokenizer, examples, config, work.task.labels)
    run.metrics({f"{config.evaluation.split}_{name}": value for name, value in scores.items()}, num_steps)
    run.tags(metric_tags(examples, config))
    if rank() == 0:
        write_predictions(folder / PREDICTIONS, examples, predictions)
        run.artifacts(folder / PREDICTIONS)
    return scores


class _KeepBest(NoHooks):
    """Validation after an epoch; the best model so far is written to its folder."""

    def __init__(
        self, work: TeacherWork, learner: Learner, replica: PreTrainedModel, tokenizer: PreTrainedTokenizerBase
    ) -> None:
        self.work, self.learner, self.replica, self.tokenizer = work, learner, replica, tokenizer
        self.validated_step = -1

    def after_epoch(self, progress: Progress) -> None:
        """See `Hooks.after_epoch`."""
        every = self.work.config.teacher.validate_every_epochs
        if every > 0 and progress.step_in_epoch == 0 and progress.epoch % every == 0:
            self._validate_and_keep(progress.step)

    def finally_validate(self, num_steps: int) -> None:
        """Validate the last weights, unless that has been done; a resumed run comes here, too."""
        if self.validated_step != num_steps:
            self._validate_and_keep(num_steps)

    def _validate_and_keep(self, step: int) -> None:
        if not self.learner.active:
            return
        self.validated_step = step
        # A replica, because a sharded model can neither generate nor be saved as it is.
        self.learner.engine.copy_to(self.replica)
        metrics = validate(self.replica, self.work.task, self.work.config)
        self.learner.listener.metrics({f"validation_{k}": v for k, v in metrics.items()}, step)
        if rank() == 0:
            log.info(f"teacher, step {step}: " + ", ".join(f"{k} {v:.3f}" for k, v in metrics.items()))
            best = self.work.folder / BEST
            if not best.is_file() or standing(metrics) > standing(read_sealed_json(best)):
                with sealed_folder(self.work.folder / MODEL) as partial:
                    self.replica.save_pretrained(partial)
                    self.tokenizer.save_pretrained(partial)
                sealed_json(best, metrics)
        barrier()


def _start_run(work: TeacherWork) -> Run:
    config = work.config
    spec = RunSpec(
        name=f"teacher {config.task.name} {config.model.name}",
        key=work.key,
        kind="teacher",
        params=common_params(config, without=("sweep", "student", "recipe")),
        config=to_yaml(config),
        tags={**common_tags(config), "dq.data": work.task.fingerprint},
    )
    return start_run(config, spec)


def _write_result(work: TeacherWork, scores: dict[str, float], run_id: str | None) -> None:
    folder = work.folder
    atomic_text(folder / "config.yaml", to_yaml(work.config))
    result = TeacherResult(
        key=work.key,
        folder=str(folder / MODEL),
        size_bytes=file_bytes(folder / MODEL),
        validation=read_sealed_json(folder / BEST),
        scores=scores,
        run_id=run_id,
    )
    sealed_json(folder / RESULT, asdict(result))
