"""Corpora in every format: the training split changes, as bytes, as text, cell by cell, or as a typed table.

Whatever is accepted is right: texts and labels as the file has them.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import lzma
from pathlib import Path
from random import Random
from typing import Any

import datasets

from fuzz.case import Case, Subject
from fuzz.json_values import changed_json
from fuzz.mutations import changed_bytes, changed_files, read, write
from fuzz.typed_tables import odd_table
from pipeline.config.sections.task import CorpusConfig, TaskConfig
from pipeline.data.corpora import load_corpus

ROWS = [
    {
        "source": f"text {index}, with 'ü' and \"quotes\"",
        "target": f"sum {index % 3}",
        "refs": [f"a {index}", "b"],
        "more": f"more {index}",
        "id": index,
    }
    for index in range(6)
]
SPLITS = ("train", "validation", "test")
PLAIN = (".csv", ".tsv", ".jsonl", ".json", ".txt")
PACKED = {".gz": gzip.compress, ".xz": lzma.compress}
# Another cell: what readers that guess take for something else, ends of lines, quotes, delimiters, what is no text.
CELLS = ("", " ", "1", "1.50", "NA", "null", "nan", "true", "2005-04-17", "\0", "\ufeff", "\u2028", "\x85", "\x1a")
CELLS += ('"', '"a', 'a"b', ",", ";", "\t", "|", "\r", "\n", "\r\n", "a,b\nc", "\u202e", "é" * 3000, "['a', 'b']")
CELLS += ("{", "[1]", "\\N", "\\", "=1+1", "a" * 200_000)
COLUMNS = {
    "supervised": {},
    "references": {"references_column": "refs"},
    "grouped": {"group_references": True},
    "classification": {},
    "pairs": {"second_column": "more"},
    "masked_lm": {"source_column": "text", "target_column": "text"},
    "denoising": {"source_column": "source", "target_column": "source"},
    "limited": {"max_train_examples": 2, "max_test_examples": 1},
}
OBJECTIVES = {name: name for name in ("classification", "masked_lm", "denoising")}
LISTS, PLAIN_TEXT = ("references",), ("masked_lm",)  # what needs lists, and what lines of text alone are
ODD_COLUMNS = ("", ".", "source.a", "refs.0", "id", "refs", "text", "nothing", "ü", "source ", "[", "target", "a.b.c")


def prepare(folder: Path) -> dict[str, dict[str, bytes]]:
    """Files of the formats: texts by their ends, a table as Parquet, a folder of `save_to_disk`."""
    datasets.disable_progress_bars()
    rows = datasets.Dataset.from_list(ROWS)
    rows.to_parquet(folder / "one.parquet")
    splits = datasets.DatasetDict(dict.fromkeys(SPLITS, rows))
    splits.save_to_disk(folder / "saved")
    rows.save_to_disk(folder / "one")
    texts = {suffix: {f"train{suffix}": _text(suffix, ROWS).encode()} for suffix in PLAIN}
    return {
        **texts,
        ".parquet": {"train.parquet": (folder / "one.parquet").read_bytes()},
        "saved": read(folder / "saved"),
        "one": read(folder / "one"),
    }


def case(good: dict[str, dict[str, bytes]], rng: Random, folder: Path) -> Case:
    """Some task on data of some format with something changed."""
    name, root = rng.choice(list(good)), folder / "data"
    kinds = [one for one in COLUMNS if (one in PLAIN_TEXT) == (name == ".txt")]
    kind = rng.choice([one for one in kinds if one not in LISTS or name not in (".csv", ".tsv")])
    if name in ("saved", "one"):
        what, file = _saved(good[name], root, rng), "."
    else:
        what, file, content = _file(name, good, rng)
        write({file: content}, root)
    columns: dict[str, Any] = dict(COLUMNS[kind])
    if rng.random() < 0.15:
        columns[rng.choice(["source_column", "target_column", "second_column", "references_column"])] = rng.choice(
            ODD_COLUMNS
        )
    shares = {"validation": rng.choice([0.2, 0.5]), "test": 0.2} if rng.random() < 0.2 or name == "one" else None
    objective = OBJECTIVES.get(kind, "supervised")

    def call() -> None:
        corpus = CorpusConfig(kind="files", files=dict.fromkeys(SPLITS, file), **columns)
        metric = "accuracy" if objective == "classification" else "rouge"
        task = TaskConfig(name="mine", objective=objective, metric=metric, corpus=corpus)
        loaded = load_corpus(task, str(root), folder / "cache", shares)
        assert all(isinstance(text, str) and text for split in loaded.splits.values() for text in split["source"])

    return Case(change=f"{kind} of {name} {columns}: {what}{f', {shares}' if shares else ''}", call=call)


def _file(name: str, good: dict[str, dict[str, bytes]], rng: Random) -> tuple[str, str, bytes]:
    """(what was done, the file's name, what is in it)."""
    (file, content), way = next(iter(good[name].items())), rng.random()
    if name == ".parquet" and way < 0.6:
        what, content = odd_table(ROWS, rng)
    elif way < 0.3 or name == ".parquet":
        what, content = changed_bytes(content, rng)
    elif way < 0.4:
        what, content = _encoded(content.decode(), rng)
    elif way < 0.65 and name in (".json", ".jsonl"):
        what, content = _json(name, content.decode(), rng)
    else:
        what, content = _cell(name, rng)
    if rng.random() < 0.25 and name != ".parquet":
        packing = rng.choice(list(PACKED))
        content, file = PACKED[packing](content), file + packing
        if rng.random() < 0.5:
            more, content = changed_bytes(content, rng)
            what = f"{what}, packed, {more}"
    return what, file, content


def _text(suffix: str, rows: list[dict[str, Any]]) -> str:
    if suffix == ".jsonl":
        return "".join(json.dumps(row) + "\n" for row in rows)
    if suffix == ".json":
        return json.dumps(rows, indent=1)
    if suffix == ".txt":
        return "\n\n".join(str(row["source"]) for row in rows)
    if suffix == ".tsv":
        return "\n".join(["\t".join(rows[0]), *("\t".join(map(str, row.values())) for row in rows)])
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _cell(suffix: str, rng: Random) -> tuple[str, bytes]:
    """An odd cell, written by a writer or as it stands; or a row more or less in some cells."""
    rows: list[dict[str, Any]] = [dict(row) for row in ROWS]
    row, column, cell = rng.choice(rows), rng.choice(list(ROWS[0])), rng.choice(CELLS)
    row[column] = "@@@@" if (as_it_stands := rng.random() < 0.6) else cell
    text = _text(suffix, rows)
    if as_it_stands:
        text = text.replace("@@@@", cell)
    if rng.random() < 0.15:
        lines = text.split("\n")
        index = rng.randrange(len(lines))
        lines[index] = rng.choice([lines[index] + ",", lines[index][1:], lines[index] * 2, "", lines[0], "{}", '"'])
        text = "\n".join(lines)
    return f"{column} as {cell[:40]!r}{' as it stands' if as_it_stands else ''}", text.encode("utf-8", "surrogatepass")


def _json(suffix: str, text: str, rng: Random) -> tuple[str, bytes]:
    lines = text.strip().split("\n") if suffix == ".jsonl" else [text]
    index = rng.randrange(len(lines))
    change = changed_json(lines[index], rng)
    if change is None:
        return "nothing", text.encode()
    what, changed = change
    lines[index] = changed if suffix == ".json" else changed.replace("\n", " ")
    return f"row {index}: {what}", "\n".join(lines).encode("utf-8", "surrogatepass")


def _encoded(text: str, rng: Random) -> tuple[str, bytes]:
    encoding = rng.choice(["utf-16", "utf-16-le", "utf-32", "latin-1", "cp1252", "utf-8-sig", "utf-7", "cp037"])
    ends = rng.choice(["\n", "\r\n", "\r", "\n\n", "\u2028", "\n\r"])
    return f"as {encoding} with lines that end in {ends!r}", text.replace("\n", ends).encode(encoding, "replace")


def _saved(files: dict[str, bytes], root: Path, rng: Random) -> str:
    change = changed_files(files, [], rng)
    write(change.files, root)
    return change.what


SUBJECT = Subject(name="corpora", prepare=prepare, case=case)
