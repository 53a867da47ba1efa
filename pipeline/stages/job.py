"""What every job does first: storage, tracking, cluster and data, each checked before anything is trained."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Generic, TypeVar

from pipeline.cluster.precision import with_precision
from pipeline.cluster.ray_train import connect
from pipeline.config.address import is_server
from pipeline.config.changes import with_sections
from pipeline.config.errors import Mistakes, UserError
from pipeline.config.jobs import HasRuns, TrainsTeacher
from pipeline.config.login import PASSWORD_VARIABLE, USER_VARIABLE, shown
from pipeline.config.login_file import FILE_VARIABLE
from pipeline.config.masking import masked
from pipeline.config.sections.model import ModelConfig
from pipeline.data.languages import usable_languages
from pipeline.data.numbered_tokens import numbered_tokenizer
from pipeline.data.tokenise import load_tokenizer
from pipeline.evaluation.tokenizers import check_tokenizer, language_of
from pipeline.models.fit import fit
from pipeline.models.load import (
    check_checkpoint,
    pretrained_config,
    read_model_config,
    starting_point_of,
    teacher_config,
)
from pipeline.models.starting_point import local_folder
from pipeline.stages.data_summary import described
from pipeline.stages.evaluate import with_metric_tokenizer
from pipeline.stages.fitting import check_fit
from pipeline.stages.prepare_data import PreparedTask, prepare_task, with_local_model
from pipeline.stages.runs import open_tracker, tracking_uri
from pipeline.storage.layout import MIN_FREE_BYTES, Storage, check_free, in_submitted_job, open_storage
from pipeline.storage.lease import lease
from pipeline.storage.leftovers import remove_leftovers
from pipeline.tracking.store import check_reachable

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedTokenizerBase

# As MLflow's client tells it: of a server's own login, and of one in front of it.
LOGIN_REFUSED = re.compile(r"error code 40[13]\b|not authenticated|Permission denied", re.IGNORECASE)

log = logging.getLogger(__name__)


Job = TypeVar("Job", bound=TrainsTeacher)
Opened = TypeVar("Opened", bound=TrainsTeacher, covariant=True)


@dataclass(frozen=True, kw_only=True)
class OpenedJob(Generic[Opened]):
    """A job whose surroundings have been checked."""

    config: Opened
    storage: Storage
    task: PreparedTask
    model_config: PretrainedConfig  # the teacher's configuration, known before its weights


def open_job(
    config: Job, check: Callable[[Job, PretrainedConfig], None] | None = None, *, copies_model: bool = True
) -> OpenedJob[Job]:
    """Check storage, tracking server, cluster and model, all of them, then prepare the data.

    Args:
        config: the job.
        check: refuses what a model of this configuration cannot have.
        copies_model: whether a local model folder is copied to where workers find it; a plan has no workers.

    Raises:
        UserError: whatever is missing.
    """
    storage, mistakes = open_storage(config.storage.path), Mistakes()
    config = with_sections(config, storage=replace(config.storage, path=str(storage.root)))
    with mistakes.noted():
        check_free(storage.root, MIN_FREE_BYTES)
    with mistakes.noted(), lease(storage.cache / "tracking", "opening the MLflow store", wait=True):
        _check_tracking(config)  # alone: two must not make its tables
    with mistakes.noted():
        connect(config.cluster)
        config = with_sections(config, cluster=with_precision(config.cluster))
    with mistakes.noted():
        _check_model(config, check)
    with mistakes.noted():
        check_tokenizer(config.task)
    mistakes.tell()
    remove_leftovers(storage.root)
    language = language_of(config.task)
    config, start = with_local_model(config, storage, copies=copies_model)
    log.info(
        f"task {config.task.name}, model {config.model.name}, cluster {config.cluster.name}; storage {storage.root}"
    )
    config, task = prepare_task(config, storage, start)
    tokenizer = task.tokenizer()
    config = with_metric_tokenizer(config, task, language)
    model_config = teacher_config(config.model, tokenizer, config.task, task.labels)
    log.info(f"\n{described(task, config.task)}\n")
    return OpenedJob(config=config, storage=storage, task=task, model_config=model_config)


def _check_model(config: Job, check: Callable[[Job, PretrainedConfig], None] | None) -> None:
    """What its files tell, with a tokenizer in place of the one that is trained on the data."""
    name = config.model.pretrained
    folder = local_folder(name, "model.pretrained") if name else None
    model = replace(config.model, pretrained=str(folder or name) if name else None)
    if name and folder is None:  # of the hub, before its weights are fetched; of others it is known already
        check_fit(starting_point_of(pretrained_config(name, model.family)), config)
    tokenizer = load_tokenizer(model) if name else numbered_tokenizer(model.vocab_size)
    if name:
        _check_checkpoint(model, tokenizer, config)
    model_config = read_model_config(model, tokenizer, kind=config.task.facts.model)
    if check is not None:
        check(config, model_config)


def _check_checkpoint(model: ModelConfig, tokenizer: PreTrainedTokenizerBase, config: TrainsTeacher) -> None:
    """Refuse a checkpoint that is not whole, or not its tokenizer's; say what it brings besides."""
    kind = config.task.facts.model
    account = check_checkpoint(model, tokenizer, kind)
    if account.unused:
        more = f" and {len(account.unused) - 5} more" if len(account.unused) > 5 else ""
        log.warning(
            f"'{model.pretrained}' holds tensors for which its model has no place, ignored: "
            f"{', '.join(account.unused[:5])}{more}"
        )
    if account.drawn and (config.teacher.epochs == 0 or config.teacher.max_steps == 0):
        raise UserError(
            f"'{model.pretrained}' has no head of a {kind} ({account.drawn[0]}), and its teacher is not trained",
            f"a {kind}, or steps to train one",
            f"set teacher.epochs and teacher.max_steps, or name a {kind} in model.pretrained",
        )
    if account.drawn and not config.task.facts.has_labels:  # else labels are compared, and it is said with the data
        log.warning(f"'{model.pretrained}' has no head of a {kind} ({account.drawn[0]}): it starts from scratch")
    fit(model, tokenizer, usable_languages(tokenizer, config.task)[0])


def _check_tracking(config: HasRuns) -> None:
    """A store that cannot be opened shows now, not after training."""
    uri = tracking_uri(config)
    change = "set tracking.uri or MLFLOW_TRACKING_URI"
    if in_submitted_job() and uri.startswith("sqlite:///") and not uri.startswith("sqlite:////"):
        raise UserError(
            f"tracking.uri={shown(uri)} in a job submitted to Ray", "an absolute path: sqlite:////...", change
        )
    check_reachable(uri)
    try:
        open_tracker(config, retry_seconds=0.0)
    except UserError:  # the experiment is deleted
        raise
    except Exception as error:  # every kind of store has errors of its own
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        given = f"tracking.uri={shown(uri)}: {masked(reason)}"
        if is_server(uri) and LOGIN_REFUSED.search(reason):  # of a file it is a right that is missing
            login = f"{USER_VARIABLE} and {PASSWORD_VARIABLE} (or {FILE_VARIABLE})"
            raise UserError(given, "a login that this server takes", f"set {login} to one") from error
        raise UserError(given, "an MLflow store that opens", change) from error
