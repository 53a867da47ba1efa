"""A data set's own columns -> `source`, `second`, `target`, `references`, whatever they are called."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import datasets

from pipeline.config.errors import UserError
from pipeline.config.sections.task import TaskConfig
from pipeline.data.column_names import paths_of
from pipeline.data.json_file import SpeltFloat
from pipeline.data.plain_text import COLUMN as PLAIN_TEXT
from pipeline.data.records import Records, Row, value_at
from pipeline.data.spool import spooled

# Hub data sets mark a label that is held back so.
NO_LABEL = -1
# What becomes of a list where there is text alone, as in CSV.
LIST_AS_TEXT = re.compile(r"""\[\s*(["']).*\1\s*\]""", re.DOTALL)
# What no model reads and many programs stumble over: a NUL, half of a surrogate pair.
UNREADABLE = re.compile("[\0\ud800-\udfff]")


def examples_of(
    records: Records, task: TaskConfig, split: str, folder: Path, limit: int | None = None
) -> datasets.Dataset:
    """The examples of one split.

    Args:
        records: the split as it was read.
        task: its corpus names the columns.
        split: what messages call it.
        folder: where examples lie that memory need not hold.
        limit: no more than so many.

    Returns:
        columns `source` and `target` (text; of a classification task the label's name) and `references` (texts, the
        target among them). A pair of texts that is classified also has `second`.

    Raises:
        UserError: no examples, or something that is no text.
    """
    text = datasets.Value("string")
    names = ["source", *(["second"] if _is_pair(task) else []), "target"]
    features = datasets.Features({**dict.fromkeys(names, text), "references": datasets.List(text)})
    examples = spooled(islice(_examples(records, task, split), limit), features, folder)
    if len(examples) == 0:
        raise UserError(
            f"an empty split '{split}' of task '{task.name}' ({records.origin})",
            "at least one example",
            "check the data",
        )
    return examples


def source_texts(records: Records, task: TaskConfig, where: str) -> Iterator[tuple[str, str | None]]:
    """Sources without targets: source and, of pairs, the second text, as those of a split are read.

    Args:
        records: the rows; of plain text the line itself is the source.
        task: its corpus names the columns.
        where: what messages call the rows.

    Raises:
        UserError: a column that is not there, or something that is no text.
    """
    corpus = task.corpus
    column = corpus.source_column if records.has(corpus.source_column) else PLAIN_TEXT
    needed = {name: name for name in (column, corpus.second_column) if name is not None}
    for name in needed:
        if not records.has(name):
            raise UserError(
                f"no column '{name}' in {where}",
                f"one of {', '.join(records.columns())}",
                "mend the file, or name another",
            )
    for number, row in records.rows(needed.values()):
        place = f"{records.unit} {number} of {where}"
        source = _text(row, column, "source_column", place)
        second = None if corpus.second_column is None else _text(row, corpus.second_column, "second_column", place)
        if second is None or task.facts.keeps_pairs:
            yield source, second
        else:
            yield (f"{source}\n{second}" if second.strip() else source), None


def grouped(examples: datasets.Dataset) -> datasets.Dataset:
    """One example per source, at the place of its first, with the references of all."""
    first: dict[str, int] = {}
    columns = examples.to_dict()
    for index, source in enumerate(columns["source"]):
        kept = first.setdefault(source, index)
        known = columns["references"][kept]
        columns["references"][kept] = list(dict.fromkeys([*known, *columns["references"][index]]))
    return datasets.Dataset.from_dict(
        {column: [values[index] for index in first.values()] for column, values in columns.items()},
        features=examples.features,
    )


def _is_pair(task: TaskConfig) -> bool:
    return task.facts.keeps_pairs and task.corpus.second_column is not None


def _examples(records: Records, task: TaskConfig, split: str) -> Iterator[dict[str, Any]]:
    paths, labels = paths_of(task.corpus), _SeenLabels(task.corpus.target_column)
    has_labels = task.facts.has_labels
    names = records.label_names(task.corpus.target_column) if has_labels else None
    for number, row in records.rows(paths.values()):
        where = f"{records.unit} {number} of split '{split}' ({records.origin})"
        example = _example(row, task, where, _label_of(row, records, names, task, where))
        if has_labels:
            labels.check(example["target"], value_at(row, task.corpus.target_column), where)
        yield example


class _SeenLabels:
    """The labels of a split so far: each has one type, and every number one spelling."""

    def __init__(self, column: str) -> None:
        self.column = column
        self.kinds: dict[str, type] = {}
        self.spellings: dict[float, str] = {}

    def check(self, label: str, value: Any, where: str) -> None:
        """Refuse a label that is another's value in disguise.

        Args:
            label: as it is spelt.
            value: as the data hold it.
            where: its place, for the message.
        """
        kind = type(value)
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if is_number and (before := self.spellings.setdefault(value, label)) != label:
            raise UserError(
                f"label {label} is the number {before} in {where}",
                "one spelling for every number",
                f"mend column '{self.column}', or write labels as text",
            )
        if (known := self.kinds.setdefault(label, kind)) is not kind:
            raise UserError(
                f"label {label} is {kind.__name__} in {where}, and {known.__name__} before",
                "one type for every label",
                f"mend column '{self.column}'",
            )


def _example(row: Row, task: TaskConfig, where: str, label: str | None) -> dict[str, Any]:
    corpus = task.corpus
    source = _text(row, corpus.source_column, "source_column", where)
    targets = [label] if label is not None else _texts(row, corpus.target_column, "target_column", where)
    if corpus.references_column is not None and value_at(row, corpus.references_column) not in (None, []):
        # A row without further references has its target.
        targets = [*targets, *_texts(row, corpus.references_column, "references_column", where)]
    example = {"source": source, "target": targets[0], "references": list(dict.fromkeys(targets))}
    if corpus.second_column is None:
        return example
    is_missing = value_at(row, corpus.second_column) is None
    second = "" if is_missing else _text(row, corpus.second_column, "second_column", where)
    if task.facts.keeps_pairs:
        return {**example, "second": second}
    return {**example, "source": f"{source}\n{second}" if second.strip() else source}


def _text(row: Row, path: str, option: str, where: str) -> str:
    value = value_at(row, path)
    if not isinstance(value, str):
        raise UserError(
            f"column '{path}' holds {_shown(value)} in {where}", "text", f"set task.corpus.{option}, or mend the data"
        )
    return _readable(value, path, where)


def _texts(row: Row, path: str, option: str, where: str) -> list[str]:
    """The texts that are not blank, one at least."""
    value = value_at(row, path)
    given = value if isinstance(value, list) else [value]
    texts = [text for text in given if not isinstance(text, str) or text.strip()]
    is_text = all(isinstance(text, str) for text in texts)
    if not texts or not is_text:
        raise UserError(
            f"column '{path}' holds {_shown(value)} in {where}",
            "text, or a list of it, not blank",
            f"set task.corpus.{option}, or {'leave out such rows' if is_text else 'write text in the data'}",
        )
    if option == "references_column" and isinstance(value, str) and LIST_AS_TEXT.fullmatch(value.strip()):
        raise UserError(
            f"column '{path}' holds a list that was written as text in {where}: {_shown(value)}",
            "one text in a cell, or a list",
            "write the data as JSON lines or Parquet, which have lists",
        )
    return [_readable(text, path, where) for text in texts]


def _readable(text: str, path: str, where: str) -> str:
    if found := UNREADABLE.search(text):
        what = "a NUL character" if found[0] == "\0" else f"half of a surrogate pair (\\u{ord(found[0]):x})"
        raise UserError(f"column '{path}' holds {what} in {where}", "text that is whole Unicode", "mend the data")
    return text


def _label_of(row: Row, records: Records, names: list[str] | None, task: TaskConfig, where: str) -> str | None:
    """The label as the data write it; of a task without labels none."""
    if not task.facts.has_labels:
        return None
    path = task.corpus.target_column
    value = value_at(row, path)
    if value is None or value != value or str(value).strip() == "" or (names is not None and value == NO_LABEL):
        raise UserError(
            f"column '{path}' holds no label in {where}",
            "a label in every row",
            "leave out such rows, or score another split",
        )
    if names is not None and isinstance(value, int) and 0 <= value < len(names):
        return names[value]
    if names is None and isinstance(value, bool):
        return records.truth_values[value]
    if names is None and isinstance(value, (str, int, SpeltFloat)):
        return _readable(str(value), path, where)
    raise UserError(
        f"column '{path}' holds {_shown(value)} in {where}",
        "text, a whole number or a truth value as a label",
        "write labels so, or set task.corpus.target_column",
    )


def _shown(value: Any) -> str:
    kind = "float" if isinstance(value, SpeltFloat) else type(value).__name__
    return "nothing" if value is None else f"{str(value)[:40]!r} ({kind})"
