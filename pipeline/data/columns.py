"""A data set's own columns -> `source`, `second`, `target`, `references`, whatever they are called."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import datasets

from pipeline.config.build import nearest
from pipeline.config.errors import UserError
from pipeline.config.task import TaskConfig

# Hub data sets mark a label that is held back so.
NO_LABEL = -1


def examples_of(rows: datasets.Dataset, task: TaskConfig, split: str) -> datasets.Dataset:
    """The examples of one split.

    Args:
        rows: the data set as it was read.
        task: its corpus names the columns.
        split: train, validation or test.

    Returns:
        columns `source` and `target` (text; of a classification task the label's name) and, where the split is not
        train, `references` (texts, the target among them). A pair of texts that is classified also has `second`.

    Raises:
        UserError: no examples, a missing column, or something that is no text.
    """
    corpus = task.corpus
    if len(rows) == 0:
        raise UserError(f"an empty split '{split}' of task '{task.name}'", "at least one example", "check the data")
    paths = {
        "source_column": corpus.source_column,
        "second_column": corpus.second_column,
        "target_column": corpus.target_column,
        "references_column": corpus.references_column,
    }
    for option, path in paths.items():
        if path is not None:
            _check_column(rows, path, f"task.corpus.{option}", task)
    names = _label_names(rows.features, corpus.target_column) if task.objective == "classification" else None
    known = rows.column_names
    wanted = [path for path in paths.values() if path is not None]
    kept = list(dict.fromkeys(path if path in known else path.partition(".")[0] for path in wanted))
    datasets.disable_progress_bars()
    examples = rows.select_columns(kept).map(
        _batch_of_examples,
        batched=True,
        with_indices=True,
        remove_columns=kept,
        load_from_cache_file=False,
        fn_kwargs={"task": task, "names": names, "split": split},
    )
    if split == "train":
        return examples.remove_columns(["references"])
    return datasets.Dataset.from_dict(_grouped(examples.to_dict())) if corpus.group_references else examples


def _batch_of_examples(
    batch: dict[str, list[Any]], indices: list[int], task: TaskConfig, names: list[str] | None, split: str
) -> dict[str, list[Any]]:
    rows = (dict(zip(batch, values, strict=True)) for values in zip(*batch.values(), strict=True))
    examples = [
        _example(row, task, names, f"row {index + 1} of split '{split}'")
        for index, row in zip(indices, rows, strict=True)
    ]
    return {column: [example[column] for example in examples] for column in examples[0]}


def _example(row: dict[str, Any], task: TaskConfig, names: list[str] | None, where: str) -> dict[str, Any]:
    corpus = task.corpus
    source = _text(row, corpus.source_column, "task.corpus.source_column", where)
    target = _value(row, corpus.target_column)
    if task.objective == "classification":
        targets = [_label(target, names, corpus.target_column, where)]
    else:
        targets = _texts(target, corpus.target_column, "task.corpus.target_column", where)
    if corpus.references_column is not None:
        # A row without further references has its target.
        more = _value(row, corpus.references_column)
        further = (
            [] if more in (None, []) else _texts(more, corpus.references_column, "task.corpus.references_column", where)
        )
        targets = list(dict.fromkeys([*targets, *further]))
    example = {"source": source, "target": targets[0], "references": targets}
    if corpus.second_column is None:
        return example
    second = _value(row, corpus.second_column)
    second = "" if second is None else _text(row, corpus.second_column, "task.corpus.second_column", where)
    if task.objective == "classification":
        return {**example, "second": second}
    return {**example, "source": f"{source}\n{second}" if second.strip() else source}


def _text(row: dict[str, Any], path: str, option: str, where: str) -> str:
    value = _value(row, path)
    if not isinstance(value, str):
        raise UserError(f"column '{path}' holds {_shown(value)} in {where}", "text", f"set {option}, or mend the data")
    return value


def _texts(value: Any, path: str, option: str, where: str) -> list[str]:
    """The texts that are not blank, one at least."""
    given = value if isinstance(value, list) else [value]
    texts = [text for text in given if not isinstance(text, str) or text.strip()]
    if not texts or not all(isinstance(text, str) for text in texts):
        raise UserError(
            f"column '{path}' holds {_shown(value)} in {where}",
            "text, or a list of it, not blank",
            f"set {option}, or leave out such rows",
        )
    return texts


def _label(value: Any, names: list[str] | None, path: str, where: str) -> str:
    if value is None or (names is not None and value == NO_LABEL):
        raise UserError(
            f"column '{path}' holds no label in {where}",
            "a label in every row",
            "leave out such rows, or score another split",
        )
    if names is not None:
        return str(names[value])
    if isinstance(value, (str, int, bool)):
        return str(value)
    raise UserError(f"column '{path}' holds {_shown(value)} in {where}", "a label", "set task.corpus.target_column")


def _grouped(examples: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """One example per source, at the place of its first, with the references of all."""
    first: dict[str, int] = {}
    for index, source in enumerate(examples["source"]):
        kept = first.setdefault(source, index)
        known = examples["references"][kept]
        examples["references"][kept] = list(dict.fromkeys([*known, *examples["references"][index]]))
    return {column: [values[index] for index in first.values()] for column, values in examples.items()}


def _value(row: dict[str, Any], path: str) -> Any:
    """What a dotted path leads to; of a list of records, the list of what they hold there."""
    if path in row:
        return row[path]
    value: Any = row
    for name in path.split("."):
        items = value if isinstance(value, list) else [value]
        found = [item.get(name) if isinstance(item, Mapping) else None for item in items]
        value = found if isinstance(value, list) else found[0]
    return value


def _check_column(rows: datasets.Dataset, path: str, option: str, task: TaskConfig) -> None:
    features: Any = rows.features
    for name in [path] if path in features else path.split("."):
        features = getattr(features, "feature", features)  # of a list of records
        if not isinstance(features, Mapping) or name not in features:
            known = _paths(rows.features)
            unset = f", or {option}=null" if option.endswith(("second_column", "references_column")) else ""
            raise UserError(
                f"no column '{path}' in the data of task '{task.name}'",
                f"one of {', '.join(known)}",
                f"set {option}={nearest(path, known)}{unset}",
            )
        features = features[name]


def _paths(features: Mapping[str, Any], prefix: str = "") -> list[str]:
    paths = []
    for name, feature in features.items():
        inner = getattr(feature, "feature", feature)
        paths += _paths(inner, f"{prefix}{name}.") if isinstance(inner, Mapping) else [f"{prefix}{name}"]
    return paths


def _label_names(features: Any, path: str) -> list[str] | None:
    """The names behind label numbers, where the data set has them."""
    for name in [path] if path in features else path.split("."):
        features = getattr(features, "feature", features)[name]
    return getattr(features, "names", None)


def _shown(value: Any) -> str:
    return "nothing" if value is None else f"{str(value)[:40]!r} ({type(value).__name__})"
