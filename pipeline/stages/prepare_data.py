"""Stage: examples and tokenizer of a task, as token ids in the cache, ready for every worker."""

from __future__ import annotations

import logging
import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, TypeVar

from pipeline.config.changes import with_sections
from pipeline.config.errors import UserError
from pipeline.config.jobs import TrainsTeacher
from pipeline.config.keys import config_hash, decisions
from pipeline.config.sections.task import TaskConfig
from pipeline.data.corpora import load_corpus
from pipeline.data.labels import labels_of
from pipeline.data.languages import usable_languages
from pipeline.data.splits import num_in_training
from pipeline.data.tokenise import (
    TokenisedSplit,
    load_tokenised,
    load_tokenizer,
    saved_tokenizer,
    tokenise,
    train_tokenizer,
)
from pipeline.models.families import family_named
from pipeline.models.fit import fit
from pipeline.models.load import family_name, pretrained_labels
from pipeline.models.starting_point import local_folder
from pipeline.storage.atomic import atomic_folder
from pipeline.storage.identity import identity_of
from pipeline.storage.layout import Storage
from pipeline.storage.sealed import SEAL, DamagedFileError, check_folder, is_whole, put_aside, sealed_folder

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Job = TypeVar("Job", bound=TrainsTeacher)
MANY_KNOWN = 0.1  # share of sources that are in the training split, too, above which scores mislead
KEY_DIGITS, NAME_DIGITS = 10, 32  # of tokenizers and token ids: what keys are made of, and what folders are called by
TOKENS_FORMAT = 2  # of the cache: another set of columns is another number

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class PreparedTask:
    """Where a task's tokenizer and token ids lie; small enough to send to workers."""

    tokenizer_folder: str
    tokens_folder: str
    fingerprint: str
    start: str  # what the teacher starts from: digest of a local folder, hub name, or "scratch"
    origins: dict[str, str] = field(default_factory=dict)  # split -> what it was read from
    labels: list[str] = field(default_factory=list)  # of a classification task

    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The tokenizer."""
        return saved_tokenizer(self.tokenizer_folder)

    def split(self, name: str) -> TokenisedSplit:
        """The token ids of one split."""
        return load_tokenised(Path(self.tokens_folder), name)


def key_of(folder: str | Path) -> str:
    """What keys say of a tokenizer or of token ids; their folder's name goes on behind it."""
    return Path(folder).name.partition("-")[0]


def _named(digits: str) -> str:
    return f"{digits[:KEY_DIGITS]}-{digits[KEY_DIGITS:NAME_DIGITS]}"


def with_local_model(config: Job, storage: Storage, *, copies: bool = True) -> tuple[Job, str]:
    """The configuration with a local model folder copied to the storage folder, where every worker finds it.

    Args:
        config: the job.
        storage: where copies lie.
        copies: whether there are workers; else a folder that was not copied yet stays where it is.

    Returns:
        the configuration and the identity of the starting point: equal content, equal identity.
    """
    name = config.model.pretrained
    if not name:
        return config, "scratch"
    # Runs are titled and tagged by what the model is, not by the file in conf/model/ that was changed.
    config = with_sections(config, model=replace(config.model, name=Path(name).name))
    source = local_folder(name, "model.pretrained")
    if source is None:
        return config, f"hub:{name}"
    folder, digest = kept_model(source, storage, copies=copies)
    model = replace(config.model, pretrained=str(folder))
    return with_sections(config, model=model), f"folder:{digest}"


def kept_model(source: Path, storage: Storage, *, copies: bool = True) -> tuple[Path, str]:
    """The copy of a model folder that every worker finds, and the digest of its content.

    Args:
        source: the folder.
        storage: where copies lie.
        copies: whether one is made where there is none; else the folder itself is told.

    Raises:
        DamagedFileError: the folder knows its digests, and they are others.
    """
    check_folder(source)
    files = _files(source)
    folder = storage.cache / "models" / identity_of(files)[:16]
    # It is called by what it holds, so it needs no seal; a package would be refused with one, which no manifest names.
    found = identity_of(_files(folder))[:16] if folder.is_dir() else None
    if found == folder.name or not copies:
        return (folder if found == folder.name else source), folder.name
    if found is not None:
        put_aside(DamagedFileError(folder, f"files of the identity {folder.name}", found), folder, "it is copied again")
    with atomic_folder(folder) as partial:
        for path in files:
            shutil.copy(path, partial)
    return folder, folder.name


def prepare_task(config: Job, storage: Storage, start: str) -> tuple[Job, PreparedTask]:
    """Load, tokenise and cache the examples of a task.

    Args:
        config: the job.
        storage: where the cache lies.
        start: identity of the teacher's starting point, from `with_local_model`.

    Returns:
        the configuration, its task changed to what this model needs of prefix and languages, and where the data lies.

    Raises:
        UserError: whatever is wrong with data or tokenizer.
    """
    tokenizer = load_tokenizer(config.model)  # before the data: a wrong name shows at once
    for name in config.task.family_prefixes:
        family_named(name)  # a mistyped one would never apply
    prefix = config.task.source_prefix or config.task.family_prefixes.get(family_name(config.model), "")
    task = replace(config.task, source_prefix=prefix, family_prefixes={})
    if tokenizer is not None:
        task = _fitted(tokenizer, task, config)
    shares = {"validation": config.data.split_validation, "test": config.data.split_test}
    corpus = load_corpus(task, config.data.root, storage.cache, shares)
    for split in corpus.unread:
        log.warning(
            f"split '{split}' of task {task.name} is not read: data.split_{split} takes one from the training split"
        )
    for split, number in num_in_training(corpus.splits).items():
        if number > MANY_KNOWN * (total := len(corpus.splits[split])):
            log.warning(f"{number:,} of {total:,} sources of split '{split}' are in the training split, too")
    labels = _in_model_order(labels_of(corpus, task), config)
    if tokenizer is None:
        trained_from = config_hash(corpus.fingerprint, config.model.vocab_size, length=NAME_DIGITS)
        folder = storage.cache / "tokenizers" / _named(trained_from)
        if not is_whole(folder, "it is trained again"):
            train = corpus.splits["train"]
            texts = (text for column in train.column_names for text in train[column])
            with sealed_folder(folder) as partial:
                train_tokenizer(texts, config.model.vocab_size).save_pretrained(partial)
        tokenizer = saved_tokenizer(folder)
        task = _fitted(tokenizer, task, config)
    else:
        folder = _keep_tokenizer(tokenizer, storage)
        tokenizer = saved_tokenizer(folder)  # as every worker reads it
        if fit(config.model, tokenizer, task):  # some kinds write their last step anew
            raise UserError(
                f"{type(tokenizer).__name__}, which adds no end token and forgets that it shall",
                "a tokenizer that ends texts",
                "set model.tokenizer to the tokenizer that the model was trained with",
            )
    settings = (task.source_prefix, task.max_source_tokens, task.max_target_tokens)
    languages = (task.source_language, task.target_language)
    decided = decisions(task, only=["masking", "packed"])  # named where they are not as usual
    names = (key_of(folder), folder.name)  # the first as in earlier versions
    parts = ((TOKENS_FORMAT, corpus.fingerprint, name, task.objective, settings, languages, labels) for name in names)
    hashes = [config_hash(*one, *([decided] if decided else []), length=NAME_DIGITS) for one in parts]
    tokens = storage.cache / "tokens" / f"{hashes[0][:KEY_DIGITS]}-{hashes[1]}"
    tokenise(corpus, task, tokenizer, tokens, labels)
    prepared = PreparedTask(
        tokenizer_folder=str(folder),
        tokens_folder=str(tokens),
        fingerprint=corpus.fingerprint,
        start=start,
        origins=corpus.origins,
        labels=labels,
    )
    return with_sections(config, task=task), prepared


def _fitted(tokenizer: PreTrainedTokenizerBase, task: TaskConfig, config: TrainsTeacher) -> TaskConfig:
    """The task in languages that the tokenizer knows; the tokenizer is checked and made to fit the model, in place."""
    task, ignored = usable_languages(tokenizer, task)
    if ignored:
        log.warning(
            "task.source_language and target_language are ignored: this model's tokenizer has no language codes"
        )
    for change in fit(config.model, tokenizer, task):
        log.info(change)
    return task


def _in_model_order(labels: list[str], config: TrainsTeacher) -> list[str]:
    """The labels in the order of a pre-trained classifier of just these labels.

    Raises:
        UserError: there is none, and nothing would train a new one.
    """
    known = pretrained_labels(config.model) if labels else None
    if known is None or sorted(known) == sorted(labels):
        return known or labels
    if config.teacher.epochs == 0 or config.teacher.max_steps == 0:
        raise UserError(
            f"a teacher that is not trained, whose labels are {', '.join(known)}",
            f"a classifier of {', '.join(labels)}",
            "set teacher.epochs, or model.pretrained",
        )
    log.warning(f"the classifier of model {config.model.name} starts from scratch: its labels were {', '.join(known)}")
    return labels


def _keep_tokenizer(tokenizer: PreTrainedTokenizerBase, storage: Storage) -> Path:
    """The folder of the cache that holds a tokenizer, named by what the tokenizer writes of itself."""
    with TemporaryDirectory() as temporary:
        tokenizer.save_pretrained(temporary)
        files = _files(Path(temporary))
        folder = storage.cache / "tokenizers" / _named(identity_of(files))
        if not is_whole(folder, "it is written again"):
            with sealed_folder(folder) as partial:
                for path in files:
                    shutil.copy(path, partial)
    return folder


def _files(folder: Path) -> list[Path]:
    """Without a seal: who wrote it is no part of what a folder is."""
    return sorted(path for path in folder.iterdir() if path.is_file() and path.name != SEAL)
