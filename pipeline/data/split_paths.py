"""Where the splits of a task lie: checked by name alone, before anything is read or imported that reads."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pipeline.config.build import nearest
from pipeline.config.errors import Mistakes, UserError
from pipeline.config.sections.task import CorpusConfig
from pipeline.data.text_files import PACKINGS
from pipeline.storage.layout import seen_as_path

SPLITS = ("train", "validation", "test")
# The file of a folder made by `save_to_disk`: of one data set, of several splits.
ONE_SPLIT, SEVERAL_SPLITS = "state.json", "dataset_dict.json"
TEXT_FILES = (".jsonl", ".json", ".csv", ".tsv", ".txt")
FORMATS = (*TEXT_FILES, *(f"{suffix}{packing}" for suffix in TEXT_FILES for packing in PACKINGS), ".parquet")
READ = f"{', '.join(TEXT_FILES)}, each also {' or '.join(PACKINGS)}, or .parquet"  # for messages
PACKED = (".zip", ".zst", ".bz2", ".7z", ".tar", ".tgz", ".lz4", ".rar")
OTHER_NAMES = dict.fromkeys(("dev", "development", "val", "valid", "eval", "evaluation"), "validation")
# How a split that is not there can be had, for messages.
REMEDIES = {"validation": ", or data.split_validation=0.1", "test": ", or data.split_test=0.1"}


def check_split_names(corpus: CorpusConfig) -> None:
    """Names of splits that a task's corpus maps to files, or to the hub's own.

    Raises:
        UserError: an unknown one, or a mapping that nothing reads.
    """
    for option, names in (("files", corpus.files), ("splits", corpus.splits)):
        if unknown := [split for split in names if split not in SPLITS]:
            best = OTHER_NAMES.get(unknown[0].lower()) or nearest(unknown[0], list(SPLITS))
            raise UserError(f"task.corpus.{option}.{unknown[0]}", ", ".join(SPLITS), f"rename it {best}")
    if corpus.splits and corpus.kind != "hub":
        raise UserError(
            f"task.corpus.splits with kind={corpus.kind}", "splits go with kind=hub", "set task.corpus.files"
        )


def split_paths(files: Mapping[str, str], root: Path) -> dict[str, Path]:
    """The file or folder of every split.

    Args:
        files: train, validation, test -> path of a file or a folder; where the root itself was made by `save_to_disk`,
            one that is absent means the root's split, or, of a root without splits, the training split.
        root: folder that relative paths start from.

    Raises:
        UserError: what is not there, or is of another format, or empty.
    """
    with seen_as_path(f"data.root={root} with {', '.join(files.values())}"):
        return _split_paths(files, root)


def _split_paths(files: Mapping[str, str], root: Path) -> dict[str, Path]:
    paths = {split: root / name for split, name in files.items()}  # an absolute name stays as it is
    in_root = [split for split in paths if (root / SEVERAL_SPLITS).is_file() or (is_saved(root) and split == "train")]
    paths |= {split: root for split in in_root if not paths[split].exists()}
    mistakes, by_shell = Mistakes(), any(name.startswith("~") for name in (str(root), *files.values()))
    if missing := {split: path for split, path in paths.items() if not path.exists()}:
        there = ", ".join(_readable(root)[:8])
        error = UserError(
            "; ".join(f"data file {path} does not exist (split '{split}')" for split, path in missing.items()),
            f"a file ({READ}) or a folder of save_to_disk for each of train, validation and test",
            ("write paths without ~, which only a shell reads; " if by_shell else "")
            + "set data.root, or "
            + "; ".join(f"task.corpus.files.{name}{REMEDIES.get(name, '')}" for name in missing)
            + (f". In {root} there are {there}" if there else ""),
        )
        mistakes.add(error)
    for path in (path for path in paths.values() if path.is_file()):
        with mistakes.noted():
            check_format(path)
    mistakes.tell()
    return paths


def _readable(root: Path) -> list[str]:
    """Names of what could be a split in a folder."""
    found = sorted(root.iterdir()) if root.is_dir() else []
    return [
        path.name
        for path in found
        if path.name.lower().endswith((*FORMATS, *PACKED)) or (path.is_dir() and is_saved(path))
    ]


def check_format(path: Path) -> None:
    """Refuse a file whose name says that nothing reads it, or that is empty.

    Raises:
        UserError: as said.
    """
    suffix, packed = text_suffix(path), path.suffix.lower()
    if suffix not in TEXT_FILES and packed != ".parquet":
        unpack = f"unpack it: of packed files only {' and '.join(PACKINGS)} are read"
        raise UserError(
            f"data file {path}", f"files ending in {READ}", unpack if packed in PACKED else "convert the file"
        )
    if path.stat().st_size == 0:
        raise UserError(f"data file {path} is empty", "at least one example", "check the file")


def text_suffix(path: Path) -> str:
    """What a file's name says of its format, packed or not."""
    name = Path(path.name.lower())
    return Path(name.stem if name.suffix in PACKINGS else name).suffix


def is_saved(folder: Path) -> bool:
    """Whether `save_to_disk` made a folder."""
    return (folder / ONE_SPLIT).is_file() or (folder / SEVERAL_SPLITS).is_file()
