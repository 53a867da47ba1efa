"""A path of a task's data -> its rows: text files, Parquet, folders of `save_to_disk`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pipeline.config.errors import UserError
from pipeline.data.arrow_records import parquet_records, saved_records
from pipeline.data.records import Records
from pipeline.data.split_paths import (
    ONE_SPLIT,
    READ,
    REMEDIES,
    SEVERAL_SPLITS,
    check_format,
    is_saved,
    split_paths,
)
from pipeline.data.text_records import text_records


def records_of(files: Mapping[str, str], root: Path) -> dict[str, Records]:
    """The rows of every split.

    Args:
        files: train, validation, test -> path of a file or a folder; where the root itself was made by `save_to_disk`,
            one that is absent means the root's split, or, of a root without splits, the training split.
        root: folder that relative paths start from.

    Raises:
        UserError: something that is not there, or is of another format.
    """
    return {split: _records(split, path) for split, path in split_paths(files, root).items()}


def _records(split: str, path: Path) -> Records:
    return _folder_records(split, path) if path.is_dir() else file_records(path)


def file_records(path: Path) -> Records:
    """The rows of one file, read as its name says.

    Raises:
        UserError: a format that is not known, or an empty file.
    """
    check_format(path)
    return text_records(path) or parquet_records(path)


def _folder_records(split: str, folder: Path) -> Records:
    if not is_saved(folder):
        raise UserError(
            f"{folder}, the data of split '{split}', is a folder without {ONE_SPLIT} or {SEVERAL_SPLITS}",
            f"a folder made by save_to_disk, or a file ({READ})",
            f"set task.corpus.files.{split} to a file",
        )
    splits = saved_records(folder)
    if "" in splits:  # of one data set
        return splits[""]
    if split not in splits:
        raise UserError(
            f"{folder} holds the splits {', '.join(splits)}, not '{split}'",
            "a folder with that split",
            f"set task.corpus.files.{split} to the folder of one of them{REMEDIES.get(split, '')}",
        )
    return splits[split]
