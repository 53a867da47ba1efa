"""Whether a data set has the columns that a task names: known from text files before anything heavy is imported."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.config.build import nearest
from pipeline.config.errors import Mistakes, UserError, listed
from pipeline.config.sections.task import CorpusConfig
from pipeline.config.written import as_word
from pipeline.data.records import Records
from pipeline.data.split_paths import SPLITS

OPTIONAL = ("second_column", "references_column")


def check_columns(records: Mapping[str, Records], corpus: CorpusConfig) -> None:
    """Refuse columns that are not there, all of them.

    References may be in one of the splits that are scored; where none has them, their column is a mistake.

    Args:
        records: the splits that are read, by name; those that are not there are taken from the training split.
        corpus: names the columns.

    Raises:
        UserError: with every split and file that has no such column.
    """
    mistakes = Mistakes()
    # Where a split is taken from the training split, that one is scored, too.
    scored = {split: rows for split, rows in records.items() if split != "train" or len(records) < len(SPLITS)}
    paths = paths_of(corpus)
    lacking: dict[str, dict[str, Records]] = {}
    for option, path in paths.items():
        read = scored if option == "references_column" else records
        without = {split: rows for split, rows in read.items() if not rows.has(path)}
        if without and (option != "references_column" or without == read):
            lacking[option] = without
    for split, rows in {split: rows for without in lacking.values() for split, rows in without.items()}.items():
        if not rows.columns():
            error = UserError(f"nothing in {rows.origin}, the data of split '{split}'", "rows of columns", "check it")
            mistakes.add(error)
    mistakes.tell()
    used = set(paths.values())
    for option in sorted(lacking, key=OPTIONAL.__contains__):  # those that must be there choose first
        mistakes.add(_no_column(paths[option], option, lacking[option], used))
    mistakes.tell()


def paths_of(corpus: CorpusConfig) -> dict[str, str]:
    """Option -> the column that it names."""
    options = ("source_column", "second_column", "target_column", "references_column")
    return {option: path for option in options if (path := getattr(corpus, option)) is not None}


def _no_column(path: str, option: str, lacking: Mapping[str, Records], used: set[str]) -> UserError:
    """Offers a column that is free, and marks it as used: none may stand for two options."""
    known = next(iter(lacking.values())).columns()
    free = [name for name in known if name not in used and all(rows.has(name) for rows in lacking.values())]
    best = nearest(path, free)
    used.add(best)
    remedies = [f"set {as_word(f'task.corpus.{option}', best)}"] if free else []
    remedies += [f"set task.corpus.{option}=null"] if option in OPTIONAL else []
    places = ", ".join(f"split '{split}' ({rows.origin})" for split, rows in lacking.items())
    return UserError(
        f"no column '{path}' in {places}",
        f"one of {listed(known)}",
        ", or ".join(remedies) or f"add it to the data, or set task.corpus.{option} and the other columns",
    )
