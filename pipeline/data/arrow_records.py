"""Rows that are typed already: Parquet files, data sets of the hub, folders of `save_to_disk`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import pyarrow
import pyarrow.parquet

from pipeline.config.errors import UserError
from pipeline.data.records import Row, column_of

ROWS_AT_ONCE = 1000


@dataclass(frozen=True, kw_only=True)
class ArrowRecords:
    """Rows of Arrow tables, taken as plain values: nothing they may hold is decoded, or opened at a path."""

    origin: str
    features: datasets.Features
    batches: Callable[[list[str]], Iterator[Any]]  # tables or batches of some columns
    unit: str = "row"
    truth_values: tuple[str, str] = ("False", "True")

    def has(self, path: str) -> bool:
        """Whether the schema has it."""
        feature: Any = self.features
        for name in [path] if path in self.features else path.split("."):
            feature = _inner(feature)
            if not isinstance(feature, dict) or name not in feature:
                return False
            feature = feature[name]
        return True

    def columns(self) -> list[str]:
        """Those of the schema."""
        return _paths(self.features)

    def label_names(self, path: str) -> list[str] | None:
        """Those of a ClassLabel."""
        feature: Any = self.features
        for name in [path] if path in self.features else path.split("."):
            feature = _inner(feature)[name]
        return getattr(feature, "names", None)

    def rows(self, wanted: Collection[str]) -> Iterator[tuple[int, Row]]:
        """Every row with its number.

        Raises:
            UserError: damaged data, or text that is not UTF-8.
        """
        columns = list(dict.fromkeys(column_of(path, self.features) for path in wanted))
        number = 1
        try:
            for batch in self.batches([name for name in columns if name in self.features]):
                for row in _plain(batch):
                    yield number, row
                    number += 1
        except UnicodeDecodeError:
            raise UserError(
                f"{self.origin}: row {number} is not UTF-8", "text in UTF-8", "write the data again as UTF-8"
            ) from None
        except (pyarrow.ArrowException, OSError, ValueError) as error:
            raise unreadable(self.origin, error) from error


def parquet_records(path: Path) -> ArrowRecords:
    """The rows of a Parquet file.

    Raises:
        UserError: no such file, or two columns of one name.
    """
    origin = f"data file {path}"
    try:
        schema = pyarrow.parquet.read_schema(path)
        if twice := [name for name in schema.names if schema.names.count(name) > 1]:
            raise UserError(f"{origin} names two columns '{twice[0]}'", "every name once", "rename one of them")
        features = datasets.Features.from_arrow_schema(schema)
    except (pyarrow.ArrowException, OSError, ValueError, TypeError, KeyError) as error:
        raise unreadable(origin, error) from error

    def batches(columns: list[str]) -> Iterator[Any]:
        with pyarrow.parquet.ParquetFile(path) as file:
            yield from file.iter_batches(batch_size=ROWS_AT_ONCE, columns=columns)

    return ArrowRecords(origin=str(path), features=features, batches=batches)


def dataset_records(dataset: datasets.Dataset, origin: str) -> ArrowRecords:
    """The rows of a data set that the library has read."""

    def batches(columns: list[str]) -> Iterator[Any]:
        return iter(dataset.select_columns(columns).with_format("arrow").iter(batch_size=ROWS_AT_ONCE))

    return ArrowRecords(origin=origin, features=dataset.features, batches=batches)


def saved_records(folder: Path) -> dict[str, ArrowRecords]:
    """What `save_to_disk` wrote: split -> rows; of one data set, under the name "".

    Raises:
        UserError: a folder that cannot be read.
    """
    datasets.disable_progress_bars()
    try:
        loaded = datasets.load_from_disk(str(folder))
    except Exception as error:  # the library documents no closed set of errors
        raise unreadable(f"data folder {folder}", error) from error
    if isinstance(loaded, datasets.Dataset):
        return {"": dataset_records(loaded, str(folder))}
    return {str(name): dataset_records(split, str(folder / str(name))) for name, split in loaded.items()}


def unreadable(what: str, error: Exception, change: str = "write it again, or convert it to JSON lines") -> UserError:
    """The refusal of data that a library could not read, with the first line of what it said."""
    reason = str(error.__cause__ or error).strip().splitlines()
    return UserError(
        f"{what} cannot be read: {reason[0] if reason else type(error).__name__}", "a whole, readable data set", change
    )


def _plain(batch: Any) -> Iterator[dict[str, Any]]:
    """The rows of a table as Python values; one by one where one of them cannot be, so that it can be counted."""
    try:
        rows = batch.to_pylist()
    except UnicodeDecodeError:
        rows = (batch.slice(index, 1).to_pylist()[0] for index in range(batch.num_rows))
    yield from rows


def _inner(feature: Any) -> Any:
    return getattr(feature, "feature", feature)  # of a list of records


def _paths(features: Any, prefix: str = "") -> list[str]:
    paths = []
    for name, feature in features.items():
        inner = _inner(feature)
        paths += _paths(inner, f"{prefix}{name}.") if isinstance(inner, dict) else [f"{prefix}{name}"]
    return paths
