"""What every job does first: storage, tracking, cluster and data, each checked before anything is trained."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from pipeline.cluster.ray_train import connect
from pipeline.config.errors import UserError
from pipeline.config.load import without_login
from pipeline.config.schema import JobConfig, ModelConfig
from pipeline.data.languages import usable_languages
from pipeline.data.tokenise import load_tokenizer
from pipeline.models.families import families, family_named
from pipeline.models.fit import fit
from pipeline.models.load import check_checkpoint, check_positions, family_name, teacher_shape
from pipeline.stages.data import PreparedTask, model_folder, prepare_task, with_local_model
from pipeline.stages.lease import lease
from pipeline.stages.runs import open_tracker, tracking_uri
from pipeline.stages.storage import MIN_FREE_BYTES, Storage, check_free, in_submitted_job, open_storage
from pipeline.tracking.progress import say
from pipeline.tracking.tracker import check_reachable


@dataclass(frozen=True, kw_only=True)
class OpenedJob:
    """A job whose surroundings have been checked."""

    config: JobConfig
    storage: Storage
    task: PreparedTask
    shape: Any  # the teacher's configuration, known before its weights


def open_job(config: JobConfig) -> OpenedJob:
    """Check storage, tracking server and cluster, then prepare the data.

    Raises:
        UserError: whatever is missing.
    """
    _check_objective(config)
    _check_model(config)
    storage = open_storage(config.storage.path)
    check_free(storage.root, MIN_FREE_BYTES)
    config = replace(config, storage=replace(config.storage, path=str(storage.root)))
    with lease(storage.cache / "tracking", "opening the MLflow store", wait=True):  # two must not make its tables
        _check_tracking(config)
    connect(config.cluster)
    config, start = with_local_model(config, storage)
    say(f"task {config.task.name}, model {config.model.name}, recipe {config.recipe.name}; storage {storage.root}")
    config, task = prepare_task(config, storage, start)
    tokenizer = task.tokenizer()
    if config.task.objective == "denoising" and tokenizer.mask_token_id is None:
        raise UserError(
            "task.objective=denoising with a tokenizer that has no mask token",
            "a tokenizer with one",
            "set model.tokenizer, or leave model.pretrained empty to train one",
        )
    shape = teacher_shape(config.model, tokenizer, config.task, task.labels)
    check_positions(shape, config.task)
    sizes = ", ".join(f"{name} {len(task.split(name).examples)}" for name in ("train", "validation", "test"))
    say(f"data {task.fingerprint}: {sizes}; cut: {task.num_cut_sources} sources, {task.num_cut_targets} targets")
    return OpenedJob(config=config, storage=storage, task=task, shape=shape)


def _check_model(config: JobConfig) -> None:
    """Refuse a model that is not whole, or not its tokenizer's, under the name that the user gave it."""
    if not config.model.pretrained:
        return
    model = _given_model(config)
    account = check_checkpoint(model)
    if account.unused:
        more = f" and {len(account.unused) - 5} more" if len(account.unused) > 5 else ""
        say(
            f"'{model.pretrained}' holds tensors for which its model has no place, ignored: "
            f"{', '.join(account.unused[:5])}{more}"
        )
    if account.drawn and (config.teacher.epochs == 0 or config.teacher.max_steps == 0):
        raise UserError(
            f"'{model.pretrained}' has no classifier ({account.drawn[0]}), and its teacher is not trained",
            "a classifier, or steps to train one",
            "set teacher.epochs and teacher.max_steps, or name a classifier in model.pretrained",
        )
    tokenizer = load_tokenizer(model)
    fit(model, tokenizer, usable_languages(tokenizer, config.task)[0])


def _given_model(config: JobConfig) -> ModelConfig:
    """The model where the user has it; workers get a copy, which messages should not name."""
    name = config.model.pretrained
    return replace(config.model, pretrained=name and str(model_folder(name) or name))


def _check_objective(config: JobConfig) -> None:
    """Texts need a decoder, labels a classifier."""
    family = family_named(family_name(_given_model(config)))
    classifies = config.task.objective == "classification"
    if (family.decoder is None) != classifies:
        suitable = [name for name, other in sorted(families().items()) if (other.decoder is None) == classifies]
        raise UserError(
            f"a model of the family {family.name} for task.objective={config.task.objective}",
            f"one of {', '.join(suitable)}",
            "set model, e.g. model=tiny_encoder" if classifies else "set model.pretrained, or model.family",
        )


def _check_tracking(config: JobConfig) -> None:
    """A store that cannot be opened shows now, not after training."""
    uri = tracking_uri(config)
    change = "set tracking.uri or MLFLOW_TRACKING_URI"
    if in_submitted_job() and uri.startswith("sqlite:///") and not uri.startswith("sqlite:////"):
        raise UserError(f"tracking.uri={uri} in a job submitted to Ray", "an absolute path: sqlite:////...", change)
    check_reachable(uri)
    try:
        open_tracker(config, patience_seconds=0.0)
    except Exception as error:  # every kind of store has errors of its own
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        given = without_login(f"tracking.uri={uri}: {reason}")
        raise UserError(given, "an MLflow store that opens", change) from error
