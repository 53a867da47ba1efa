"""Corpora from files: every format gives the same examples; what is missing or unreadable is named."""

import csv
import json
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from pipeline.config.errors import UserError
from pipeline.config.sections.task import CorpusConfig, TaskConfig
from pipeline.data.corpora import Corpus, load_corpus

ROWS = [{"document": f"text {i}, with\nan 'ü' and \"quotes\"", "summary": f"sum {i}", "id": i} for i in range(5)]


def write(path: Path, rows: list[dict]) -> None:
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif path.suffix == ".json":
        path.write_text(json.dumps(rows))
    elif path.suffix == ".parquet":
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    else:
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)


@pytest.fixture
def load(tmp_path):
    """Writes three splits of one format and loads them; `train` may be other rows or raw text."""

    def make(
        suffix: str = ".jsonl",
        train: list[dict] | str | bytes | None = None,
        objective: str = "supervised",
        shares: dict[str, float] | None = None,
        **options,
    ) -> Corpus:
        for split in ("train", "validation", "test"):
            write(tmp_path / f"{split}{suffix}", ROWS)
        path = tmp_path / f"train{suffix}"
        if isinstance(train, list):
            write(path, train)
        elif train is not None:
            path.write_bytes(train.encode() if isinstance(train, str) else train)
        files = {split: f"{split}{suffix}" for split in ("train", "validation", "test")}
        corpus = {"kind": "files", "files": files, "source_column": "document", "target_column": "summary"}
        task = TaskConfig(name="mine", objective=objective, corpus=CorpusConfig(**(corpus | options)))
        return load_corpus(task, str(tmp_path), tmp_path / "cache", shares)

    return make


@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".csv", ".parquet"])
def test_every_format_gives_the_same_examples_under_the_same_fingerprint(load, suffix):
    """Columns are renamed to source and target, others left out; relative paths start from the data root."""
    corpus = load(suffix)
    assert list(corpus.splits) == ["train", "validation", "test"]
    for split in corpus.splits.values():
        assert split.column_names[:2] == ["source", "target"]
        assert split["source"][:] == [row["document"] for row in ROWS]
        assert split["target"][:] == [row["summary"] for row in ROWS]
    assert corpus.fingerprint == load(".jsonl").fingerprint


def test_a_changed_file_is_read_anew_and_changes_the_fingerprint(load):
    """The cache does not outlive the file."""
    first = load()
    second = load(train=[*ROWS[:-1], {**ROWS[-1], "summary": "another"}])
    assert second.splits["train"]["target"][-1] == "another"
    assert second.fingerprint != first.fingerprint


def test_texts_cut_elsewhere_have_another_fingerprint(load):
    """The end of the last source is not the start of the first target."""
    one, other = ([{"document": s, "summary": t}] for s, t in (("ab", "c"), ("a", "bc")))
    assert load(train=one).fingerprint != load(train=other).fingerprint


def test_one_column_can_be_source_and_target(load):
    """Text alone, as denoising takes it."""
    columns = {"source_column": "document", "target_column": "document"}
    split = load(objective="denoising", **columns).splits["train"]
    assert split["source"][:] == split["target"][:] == [row["document"] for row in ROWS]


def test_examples_can_be_limited_per_split(load):
    """A limit beyond the end is no error."""
    corpus = load(max_train_examples=2, max_test_examples=100)
    assert [len(split) for split in corpus.splits.values()] == [2, 5, 5]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"source_column": "documnet"}, "no column 'documnet'.*task.corpus.source_column=document"),
        ({"target_column": "sumary"}, "no column 'sumary'.*task.corpus.target_column=summary"),
        ({"target_column": "id"}, "'id' holds '0' \\(int\\) in line 1 of split 'train'"),
        ({"files": {"train": "train.jsonl", "test": "test.jsonl"}}, "no split 'validation'.*files.validation="),
        ({"files": {"train": "train.jsonl", "valid": "test.jsonl"}}, "files.valid.*rename it validation"),
        ({"files": {"train": "nothing.jsonl"}}, "nothing.jsonl does not exist"),
        ({"files": {"train": "."}}, "is a folder without state.json"),
        ({"files": {}}, "no split 'train'"),
        ({"kind": "hub"}, "without a name"),
        ({"kind": "hub", "name": "nobody/nothing"}, "'nobody/nothing' cannot be read"),
    ],
)
def test_what_is_missing_is_named_with_what_was_meant(load, options, message):
    """Columns, splits, files, hub names; without a network the hub is refused at once."""
    with pytest.raises(UserError, match=message):
        load(**options)


@pytest.mark.parametrize(
    ("suffix", "content"),
    [
        (".jsonl", ""),
        (".csv", ""),
        (".parquet", b""),
        (".json", "[]"),
        (".csv", "document,summary\n"),
        (".jsonl", '{"document": "a", "summary"\n'),
        (".jsonl", b"\xff\xfe\x00garbage"),
        (".json", "{"),
        (".parquet", b"not a parquet file"),
    ],
)
def test_an_empty_or_unreadable_file_is_refused(load, suffix, content):
    """By its path, or by the task where it holds no example."""
    with pytest.raises(UserError, match=rf"train\{suffix}|task 'mine'"):
        load(suffix, train=content)


def test_another_format_is_refused(load, tmp_path):
    """With the formats there are."""
    unpack = "unpack it: of packed files only .gz and .xz are read"
    for name, change in (("train.doc", "convert"), ("train.csv.zip", unpack), ("train.doc.xz", "convert")):
        (tmp_path / name).write_text("text")
        with pytest.raises(UserError, match=rf"{name}.*\.jsonl, \.json, \.csv, \.tsv.*\.parquet\. Change: {change}"):
            load(files={"train": name})


@pytest.mark.parametrize("row", [0, 99, 120])
def test_an_example_without_text_is_refused_wherever_it_stands(load, row):
    """A null among strings, early or late; the row is named."""
    rows = [{"document": "text", "summary": None if i == row else "sum"} for i in range(130)]
    with pytest.raises(UserError, match=rf"'summary' holds nothing in line {row + 1} of split 'train' .*train.jsonl"):
        load(train=rows)
