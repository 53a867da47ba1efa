"""One interface over every origin of examples: hub data sets, local files, the embedded docstring corpus.

The door to the `datasets` library.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets

from pipeline.config.build import nearest
from pipeline.config.errors import UserError
from pipeline.config.task import CorpusConfig, TaskConfig
from pipeline.data.columns import examples_of
from pipeline.data.docstrings import docstring_examples, installed_versions
from pipeline.data.hub import expect_hub

SPLITS = ("train", "validation", "test")
LOADERS = {".jsonl": "json", ".json": "json", ".csv": "csv", ".parquet": "parquet"}


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """Examples of a task: in every split the columns that `columns.examples_of` gives it."""

    splits: dict[str, datasets.Dataset]
    fingerprint: str


def load_corpus(task: TaskConfig, data_root: str, cache_dir: Path) -> Corpus:
    """Load the examples of a task.

    Args:
        task: the task; its corpus says where examples come from.
        data_root: folder that relative file paths start from.
        cache_dir: folder for the docstring corpus and converted files.

    Raises:
        UserError: missing or unreadable file, unknown hub name, missing column or split, empty split.
    """
    corpus = task.corpus
    _check_split_names(corpus)
    if corpus.kind == "docstrings":
        raw = _docstrings(cache_dir)
    elif corpus.kind == "files":
        raw = _files(corpus, Path(data_root), cache_dir)
    else:
        raw = _hub(corpus)
    limits = (corpus.max_train_examples, corpus.max_validation_examples, corpus.max_test_examples)
    splits = {}
    for split, limit in zip(SPLITS, limits, strict=True):
        name = corpus.splits.get(split, split)
        if name not in raw:
            way = "task.corpus.splits.{0}=<name>" if corpus.kind == "hub" else "task.corpus.files.{0}=<path>"
            raise UserError(
                f"task '{task.name}' has no split '{name}' (it has {', '.join(raw)})",
                "a train, a validation and a test split",
                f"add {way.format(split)}",
            )
        rows = raw[name]
        if limit is not None and not corpus.group_references:  # before work is done on what is left out
            rows = rows.select(range(min(limit, len(rows))))
        examples = examples_of(rows, task, split)
        splits[split] = examples if limit is None else examples.select(range(min(limit, len(examples))))
    return Corpus(splits=splits, fingerprint=_fingerprint(splits))


def _check_split_names(corpus: CorpusConfig) -> None:
    for option, names in (("files", corpus.files), ("splits", corpus.splits)):
        if unknown := [split for split in names if split not in SPLITS]:
            best = nearest(unknown[0], list(SPLITS))
            raise UserError(f"task.corpus.{option}.{unknown[0]}", ", ".join(SPLITS), f"rename it {best}")
    if corpus.splits and corpus.kind != "hub":
        raise UserError(
            f"task.corpus.splits with kind={corpus.kind}", "splits go with kind=hub", "set task.corpus.files"
        )


def _docstrings(cache_dir: Path) -> dict[str, datasets.Dataset]:
    """The embedded corpus, parsed once per storage folder and set of installed versions."""
    path = cache_dir / f"docstrings-{installed_versions()}.json"
    if not path.is_file():
        cache_dir.mkdir(parents=True, exist_ok=True)
        # Written whole under another name first: a killed job leaves no half corpus behind.
        partial = path.with_suffix(f".{os.getpid()}")
        partial.write_text(json.dumps(docstring_examples()))
        partial.replace(path)
    examples = json.loads(path.read_text())
    return {split: datasets.Dataset.from_list(rows) for split, rows in examples.items()}


def _files(corpus: CorpusConfig, root: Path, cache_dir: Path) -> dict[str, datasets.Dataset]:
    splits = {}
    for split, name in corpus.files.items():
        path = Path(name) if Path(name).is_absolute() else root / name
        if not path.is_file():
            raise UserError(
                f"data file {path} does not exist", "an existing file", "set data.root or task.corpus.files"
            )
        if path.suffix not in LOADERS:
            raise UserError(f"data file {path}", f"files ending in {', '.join(LOADERS)}", "convert the file")
        if path.stat().st_size == 0:
            raise UserError(f"data file {path} is empty", "at least one example", "check the file")
        loaded = _quietly(
            f"data file {path}", LOADERS[path.suffix], data_files=str(path), split="train", cache_dir=str(cache_dir)
        )
        splits[split] = loaded
    return splits


def _hub(corpus: CorpusConfig) -> dict[str, datasets.Dataset]:
    if not corpus.name:
        raise UserError("task.corpus.kind=hub without a name", "a hub data set name", "set task.corpus.name")
    expect_hub(corpus.name)
    loaded = _quietly(f"hub data set '{corpus.name}'", corpus.name, corpus.subset)
    return dict(loaded)


def _quietly(what: str, *arguments: Any, **options: Any) -> Any:
    """`load_dataset` without progress bars, its many exceptions turned into one kind."""
    datasets.disable_progress_bars()
    try:
        return datasets.load_dataset(*arguments, **options)
    except Exception as error:  # the library documents no closed set of errors
        cause = str(error.__cause__ or error).strip().splitlines()
        raise UserError(
            f"{what} cannot be read: {cause[0] if cause else type(error).__name__}",
            "a readable data set (JSON lines, JSON, CSV, Parquet, or a reachable hub name)",
            "check the path, the format, the network, or set HF_HUB_OFFLINE=1 to use only what is cached",
        ) from error


def _fingerprint(splits: dict[str, datasets.Dataset]) -> str:
    """SHA-256 over all texts in order: the same examples give the same fingerprint on every machine."""
    digest = hashlib.sha256()
    for name in sorted(splits):
        digest.update(name.encode())
        for column in sorted(splits[name].column_names):
            for batch in splits[name].select_columns([column]).iter(batch_size=1000):
                digest.update(json.dumps(batch[column]).encode())
    return digest.hexdigest()[:16]
