"""Tonight's data: what is new, what is trained on, what scores both models; the files that the night's sweep reads."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipeline.config.jobs.dq_sweep import SweepJob
from pipeline.config.jobs.retrain import RetrainJob
from pipeline.config.sections.data import DataConfig
from pipeline.config.sections.task import CorpusConfig
from pipeline.data.corpora import Corpus, load_corpus
from pipeline.evaluation.metrics import References
from pipeline.retraining.newest import newest
from pipeline.retraining.pairs import Pairs, digest_of, normalised
from pipeline.stages.retrain.settings import sweep_with
from pipeline.storage.atomic import atomic_text
from pipeline.storage.digests import json_digest
from pipeline.storage.layout import Storage
from pipeline.storage.sealed_json import found_json, sealed_json

ACCEPTED = "accepted"  # folder of what earlier nights have trained on
TRAIN, NEWEST, FROZEN, VALIDATION = "train", "newest", "frozen", "validation"
Row = dict[str, Any]  # source, target and, where there are, second and references


@dataclass(frozen=True, kw_only=True)
class Accepted:
    """What an accepted night has trained on, and what it held out."""

    rows: Sequence[Row]
    newest: Sequence[Row]


@dataclass(frozen=True, kw_only=True)
class NightData:
    """Tonight's examples.

    Args:
        fingerprint: of all of them, as they were read.
        frozen_digest: of the frozen test set.
        train: what can be trained on: neither held out, nor with a source that is held out or frozen.
        new: those of them that no accepted night has seen.
        newest: held out: new examples that nobody trains on.
        leaking: examples with a source of the frozen set, which nobody is trained or scored on.
        validation: of the task.
        frozen: the frozen test set.
        has_labels: whether targets are labels.
    """

    fingerprint: str
    frozen_digest: str
    train: Sequence[Row]
    new: Sequence[Row]
    newest: Sequence[Row]
    leaking: Sequence[Row]
    validation: Sequence[Row]
    frozen: Sequence[Row]
    has_labels: bool


def read_corpus(config: RetrainJob, storage: Storage) -> Corpus:
    """Read what the task names.

    Raises:
        UserError: files that cannot be read as this task's examples.
    """
    shares = {"validation": config.data.split_validation, "test": config.data.split_test}
    return load_corpus(config.task, config.data.root, storage.cache, shares)


def part_data(config: RetrainJob, corpus: Corpus, accepted: Accepted | None) -> NightData:
    """Tell what is trained on from what scores both models.

    What earlier nights held out is trained on as soon as something newer is held out. No source is on both sides, and
    none of the frozen set is on either.

    Args:
        config: the job.
        corpus: tonight's.
        accepted: what the last accepted night had; none before the first.
    """
    rows = {split: examples.to_list() for split, examples in corpus.splits.items()}
    frozen, sources = _sources_of(rows["test"]), _all_sources(rows["train"])
    leaking = [row for row, source in zip(rows["train"], sources, strict=True) if source in frozen]
    train = [row for row, source in zip(rows["train"], sources, strict=True) if source not in frozen]
    retrain, before = config.retrain, accepted or Accepted(rows=[], newest=[])
    known = identities_of([*before.rows, *before.newest])
    parts = newest(pairs_of(train), known, retrain.held_out, retrain.max_held_out)
    held_out = set(parts.held_out)
    if not held_out and (again := identities_of(before.newest)):
        held_out = {index for index, row in enumerate(train) if identity_of(row) in again}
    kept_apart = _sources_of([train[index] for index in held_out])
    trained = {index for index, source in enumerate(_all_sources(train)) if source not in kept_apart}
    return NightData(
        fingerprint=corpus.fingerprint,
        frozen_digest=frozen_digest(corpus),
        train=[row for index, row in enumerate(train) if index in trained],
        new=[train[index] for index in parts.training if index in trained],
        newest=[train[index] for index in sorted(held_out)],
        leaking=leaking,
        validation=rows["validation"],
        frozen=rows["test"],
        has_labels=config.task.facts.has_labels,
    )


def frozen_digest(corpus: Corpus) -> str:
    """What the frozen test set is called by: what is asked and what is expected."""
    return json_digest({"frozen": [_without_target(row) for row in corpus.splits["test"].to_list()]})


def _all_sources(rows: Sequence[Row]) -> list[str]:
    return [normalised(source) for source in pairs_of(rows).sources]


def _sources_of(rows: Sequence[Row]) -> frozenset[str]:
    return frozenset(_all_sources(rows))


def pairs_of(rows: Iterable[Row]) -> Pairs:
    """Sources and targets as checks see them; the second text of a pair stands on a line of its own."""
    rows = list(rows)
    sources = [f"{row['source']}\n{row['second']}" if row.get("second") is not None else row["source"] for row in rows]
    return Pairs(sources=sources, targets=[row["target"] for row in rows])


def references_of_rows(rows: Sequence[Row]) -> References:
    """What each may be answered by; of those that were held out from training there is the target alone."""
    return [list(row.get("references") or [row["target"]]) for row in rows]


def accepted_of(folder: Path, fingerprint: str) -> Accepted | None:
    """What the night of some data had; none where nobody has kept it, or it is damaged."""
    found = found_json(folder / ACCEPTED / f"{fingerprint}.json", "all examples count as new")
    return None if found is None else Accepted(**found)


def keep_accepted(folder: Path, data: NightData, rows: Sequence[Row]) -> None:
    """Remember what a night of these data trains on and holds out."""
    sealed_json(folder / ACCEPTED / f"{data.fingerprint}.json", {"rows": list(rows), "newest": list(data.newest)})


def identities_of(rows: Iterable[Row]) -> frozenset[str]:
    """What examples are called by, so that they are known again."""
    return frozenset(map(identity_of, rows))


def identity_of(row: Row) -> str:
    """What an example is called by."""
    pair = pairs_of([row])
    return digest_of(pair.sources[0], pair.targets[0])


def write_night(folder: Path, data: NightData, rows: Sequence[Row]) -> None:
    """The files that the night's sweep reads: a JSON line an example."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, examples in ((TRAIN, rows), (VALIDATION, data.validation), (FROZEN, data.frozen)):
        lines = (json.dumps(row, ensure_ascii=False) for row in examples)
        atomic_text(folder / f"{name}.jsonl", "".join(f"{line}\n" for line in lines))


def sweep_of(config: RetrainJob, folder: Path, teacher: str | None) -> SweepJob:
    """The night's sweep over the files of `write_night`.

    Args:
        config: the job.
        folder: with these files.
        teacher: folder of the champion's teacher, which is trained on; none: the model that is configured.
    """
    has_pairs = config.task.corpus.second_column is not None and config.task.facts.keeps_pairs
    corpus = CorpusConfig(
        kind="files",
        files={"train": f"{TRAIN}.jsonl", "validation": f"{VALIDATION}.jsonl", "test": f"{FROZEN}.jsonl"},
        second_column="second" if has_pairs else None,
        references_column="references",
    )
    model = config.model if teacher is None else replace(config.model, pretrained=teacher)
    return sweep_with(config, DataConfig(root=str(folder)), replace(config.task, corpus=corpus), model)


def _without_target(row: Row) -> Row:
    """A frozen example: its references hold the target, too."""
    return {name: value for name, value in row.items() if name != "target"}
