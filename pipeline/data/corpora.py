"""One interface over every origin of examples: hub data sets, local files, the embedded docstring corpus.

The door to the `datasets` library.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import datasets

from pipeline.config.errors import Mistakes, UserError
from pipeline.config.sections.data import DataConfig
from pipeline.config.sections.task import CorpusConfig, TaskConfig
from pipeline.data.arrow_records import dataset_records, saved_records, unreadable
from pipeline.data.column_names import check_columns
from pipeline.data.columns import examples_of, grouped
from pipeline.data.data_files import records_of
from pipeline.data.docstrings import docstring_examples, installed_versions
from pipeline.data.hub import expect_hub, load_from_hub
from pipeline.data.records import Records, value_at
from pipeline.data.split_paths import REMEDIES, SPLITS, check_split_names, is_saved
from pipeline.data.splits import taken_apart
from pipeline.storage.layout import seen_as_path
from pipeline.storage.sealed_json import found_json, sealed_json


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """Examples of a task: in every split the columns that `columns.examples_of` gives it."""

    splits: dict[str, datasets.Dataset]
    fingerprint: str
    origins: dict[str, str] = field(default_factory=dict)  # split -> what it was read from, for people
    unread: tuple[str, ...] = ()  # splits that are there, and were taken from the training split all the same


def load_corpus(task: TaskConfig, data_root: str, cache_dir: Path, shares: Mapping[str, float] | None = None) -> Corpus:
    """Load the examples of a task.

    Args:
        task: the task; its corpus says where examples come from.
        data_root: folder that relative file paths start from.
        cache_dir: folder for the docstring corpus.
        shares: of the training split, taken for validation and test instead of splits of their own; 0: nothing.

    Raises:
        UserError: missing or unreadable file, unknown hub name, missing column or split, empty split.
    """
    corpus, taken = task.corpus, {split: share for split, share in (shares or {}).items() if share}
    check_split_names(corpus)
    if corpus.kind == "docstrings":
        records = _docstrings(cache_dir)
    elif corpus.kind == "files":
        files = {split: name for split, name in corpus.files.items() if split not in taken}
        records = records_of(files, Path(data_root))
    else:
        records = _hub(corpus, cache_dir)
    used = _used_splits([split for split in SPLITS if split not in taken], records, task)
    check_columns(used, corpus)
    splits, mistakes = {}, Mistakes()
    for split, rows in used.items():
        whole = corpus.group_references or (split == "train" and taken)  # else nothing is read that is left out
        with mistakes.noted():
            splits[split] = examples_of(rows, task, split, cache_dir, None if whole else _limit(corpus, split))
    mistakes.tell()
    origins = {split: rows.origin for split, rows in used.items()}
    if taken:
        splits |= taken_apart(splits["train"], taken)
        origins |= {split: f"{share:.3g} of {used['train'].origin}" for split, share in taken.items()}
    finished = {split: _finished(splits[split], corpus, split) for split in SPLITS}
    there = [
        split for split in taken if corpus.splits.get(split, split) in records or _is_there(corpus, data_root, split)
    ]
    return Corpus(splits=finished, fingerprint=_fingerprint(finished), origins=origins, unread=tuple(there))


def column_of(task: TaskConfig, data: DataConfig, split: str, column: str) -> list[str]:
    """A value of every example of a split from a column that no model reads, as text.

    Args:
        task: whose corpus is read from files.
        data: where they lie.
        split: that has a file of its own.
        column: the column.

    Raises:
        UserError: no such column, or a split whose examples are not the rows of a file.
    """
    corpus = task.corpus
    is_taken = split in ("validation", "test") and getattr(data, f"split_{split}") > 0
    if corpus.kind != "files" or corpus.group_references or is_taken or split not in corpus.files:
        raise UserError(
            f"column '{column}' of split '{split}', whose examples are not the rows of a file",
            "task.corpus.kind=files with a file of its own for the split, without group_references",
            "leave the column out, or write the split into a file",
        )
    records = _split(split, records_of({split: corpus.files[split]}, Path(data.root)), task)
    if not records.has(column):
        names = ", ".join(records.columns())
        raise UserError(f"no column '{column}' in split '{split}'", f"one of {names}", "name another column")
    return [str(value_at(row, column)) for _, row in islice(records.rows([column]), _limit(corpus, split))]


def _used_splits(names: Sequence[str], records: Mapping[str, Records], task: TaskConfig) -> dict[str, Records]:
    """The rows of every split that is read."""
    used, mistakes = {}, Mistakes()
    for split in names:
        with mistakes.noted():
            used[split] = _split(split, records, task)
    mistakes.tell()
    return used


def _split(split: str, records: Mapping[str, Records], task: TaskConfig) -> Records:
    """The rows of one split, under the hub's own name for it."""
    name = task.corpus.splits.get(split, split)
    if name not in records:
        way = f"task.corpus.splits.{split}=<name>" if task.corpus.kind == "hub" else f"task.corpus.files.{split}=<path>"
        raise UserError(
            f"task '{task.name}' has no split '{name}' (it has {', '.join(records) or 'none'})",
            "a train, a validation and a test split",
            f"add {way}{REMEDIES.get(split, '')}",
        )
    return records[name]


def _is_there(corpus: CorpusConfig, data_root: str, split: str) -> bool:
    return corpus.kind == "files" and split in corpus.files and (Path(data_root) / corpus.files[split]).exists()


def _limit(corpus: CorpusConfig, split: str) -> int | None:
    limits = (corpus.max_train_examples, corpus.max_validation_examples, corpus.max_test_examples)
    return dict(zip(SPLITS, limits, strict=True))[split]


def _finished(examples: datasets.Dataset, corpus: CorpusConfig, split: str) -> datasets.Dataset:
    """A split as training and scoring want it: references only where they are scored, no more than the limit."""
    if split == "train":
        examples = examples.remove_columns(["references"])
    elif corpus.group_references:
        examples = grouped(examples)
    limit = _limit(corpus, split)
    return examples if limit is None else examples.select(range(min(limit, len(examples))))


def _docstrings(cache_dir: Path) -> dict[str, Records]:
    """The embedded corpus, parsed once per storage folder and set of installed versions."""
    path = cache_dir / f"docstrings-{installed_versions()}.json"
    if (examples := found_json(path, "they are parsed again")) is None:
        examples = docstring_examples()
        sealed_json(path, examples)
    loaded = {split: datasets.Dataset.from_list(rows) for split, rows in examples.items()}
    return {split: dataset_records(rows, "the embedded docstrings") for split, rows in loaded.items()}


def _hub(corpus: CorpusConfig, cache_dir: Path) -> dict[str, Records]:
    if not corpus.name:
        raise UserError("task.corpus.kind=hub without a name", "a hub data set name", "set task.corpus.name")
    with seen_as_path(f"task.corpus.name={corpus.name}"):
        is_folder_of_ours = is_saved(Path(corpus.name))
    if is_folder_of_ours:
        return {split or "train": rows for split, rows in saved_records(Path(corpus.name)).items()}
    expect_hub(corpus.name)
    datasets.disable_progress_bars()
    try:
        loaded = load_from_hub(corpus.name, corpus.subset, cache_dir)
    except UserError:
        raise
    except Exception as error:  # the library documents no closed set of errors
        is_here = Path(corpus.name).exists()
        way = "the network, or set HF_HUB_OFFLINE=1 to use only what is cached"
        change = f"check the {'folder and its files' if is_here else f'name, {way}'}"
        raise unreadable(f"hub data set '{corpus.name}'", error, change) from error
    return {str(name): dataset_records(rows, corpus.name) for name, rows in loaded.items()}


def _fingerprint(splits: dict[str, datasets.Dataset]) -> str:
    """SHA-256 over all texts in order: the same examples give the same fingerprint on every machine."""
    digest = hashlib.sha256()
    for name in sorted(splits):
        digest.update(name.encode())
        for column in sorted(splits[name].column_names):
            for batch in splits[name].select_columns([column]).iter(batch_size=1000):
                digest.update(json.dumps(batch[column]).encode())
    return digest.hexdigest()[:16]
