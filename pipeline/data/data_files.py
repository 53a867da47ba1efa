"""A path of a task's data -> its rows: text files, Parquet, folders of `save_to_disk`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pipeline.config.errors import UserError
from pipeline.data.arrow_records import ONE_SPLIT, SEVERAL_SPLITS, is_saved, parquet_records, saved_records
from pipeline.data.delimited import DelimitedFile
from pipeline.data.json_file import JsonFile
from pipeline.data.records import Records
from pipeline.data.text_files import GZIP

TEXT_FILES = (".jsonl", ".json", ".csv", ".tsv")
FORMATS = (*TEXT_FILES, *(f"{suffix}{GZIP}" for suffix in TEXT_FILES), ".parquet")
PACKED = (".zip", ".zst", ".bz2", ".xz", ".7z", ".tar", ".tgz", ".lz4", ".rar")
# How a split that is not there can be had, for messages.
REMEDIES = {"validation": ", or data.split_validation=0.1", "test": ", or data.split_test=0.1"}


def records_of(files: Mapping[str, str], root: Path) -> dict[str, Records]:
    """The rows of every split.

    Args:
        files: train, validation, test -> path of a file or a folder; where the root itself was made by `save_to_disk`,
            one that is absent means the root's split, or, of a root without splits, the training split.
        root: folder that relative paths start from.

    Raises:
        UserError: something that is not there, or is of another format.
    """
    paths = {split: root / name for split, name in files.items()}  # an absolute name stays as it is
    in_root = [split for split in paths if (root / SEVERAL_SPLITS).is_file() or (is_saved(root) and split == "train")]
    paths |= {split: root for split in in_root if not paths[split].exists()}
    if missing := {split: path for split, path in paths.items() if not path.exists()}:
        raise UserError(
            "; ".join(f"data file {path} does not exist (split '{split}')" for split, path in missing.items()),
            f"a file ({', '.join(FORMATS)}) or a folder of save_to_disk for each of train, validation and test",
            "set data.root, or " + "; ".join(f"task.corpus.files.{name}{REMEDIES.get(name, '')}" for name in missing),
        )
    return {split: _records(split, path) for split, path in paths.items()}


def _records(split: str, path: Path) -> Records:
    return _folder_records(split, path) if path.is_dir() else file_records(path)


def file_records(path: Path) -> Records:
    """The rows of one file, read as its name says.

    Raises:
        UserError: a format that is not known, or an empty file.
    """
    suffix = Path(path.name.lower().removesuffix(GZIP)).suffix
    packed = path.suffix.lower()
    if suffix not in TEXT_FILES and packed != ".parquet":
        change = f"unpack it: of packed files only {GZIP} is read" if packed in PACKED else "convert the file"
        raise UserError(f"data file {path}", f"files ending in {', '.join(FORMATS)}", change)
    if path.stat().st_size == 0:
        raise UserError(f"data file {path} is empty", "at least one example", "check the file")
    if suffix in (".jsonl", ".json"):
        return JsonFile(path=path, has_lines=suffix == ".jsonl")
    return DelimitedFile(path=path, has_quotes=suffix == ".csv") if suffix in TEXT_FILES else parquet_records(path)


def _folder_records(split: str, folder: Path) -> Records:
    if not is_saved(folder):
        raise UserError(
            f"{folder}, the data of split '{split}', is a folder without {ONE_SPLIT} or {SEVERAL_SPLITS}",
            f"a folder made by save_to_disk, or a file ({', '.join(FORMATS)})",
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
