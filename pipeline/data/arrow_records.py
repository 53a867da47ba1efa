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
from pipeline.data.records import Row, first_step

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
        return _feature_at(self.features, path) is not None

    def columns(self) -> list[str]:
        """Those of the schema."""
        return _paths(self.features)

    def label_names(self, path: str) -> list[str] | None:
        """Those of a ClassLabel."""
        return getattr(_feature_at(self.features, path), "names", None)

    def rows(self, wanted: Collection[str]) -> Iterator[tuple[int, Row]]:
        """Every row with its number.

        Raises:
            UserError: damaged data, or text that is not UTF-8.
        """
        steps = (first_step(path, self.features) for path in wanted)
        columns = list(dict.fromkeys(step[0] for step in steps if step is not None))
        number = 1
        try:
            for batch in self.batches(columns):
                for row in _plain(batch):
                    yield number, row
                    number += 1
        except (pyarrow.ArrowException, OSError, ValueError, OverflowError) as error:  # the last: times beyond years
            if "UTF8" in str(error):
                reason = f"{self.origin}: row {number} is not UTF-8"
                raise UserError(reason, "text in UTF-8", "write the data again as UTF-8") from None
            raise unreadable(f"{self.origin}, row {number},", error) from error


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
        features = _features_of(schema)
    except UserError:
        raise
    except Exception as error:  # what the library says of odd metadata is no closed set
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
    """The rows of a table as Python values; one by one where one of them cannot be, so that it can be counted.

    Damaged offsets would end the process, not raise: values are checked before they are taken.
    """
    try:
        batch.validate(full=True)
    except pyarrow.ArrowInvalid:
        if batch.num_rows == 1:
            raise
        for index in range(batch.num_rows):
            yield from _plain(batch.slice(index, 1))
    else:
        yield from batch.to_pylist()


def _features_of(schema: pyarrow.Schema) -> datasets.Features:
    """The library's types of columns; one that it has no type for must not keep the others from being read."""
    features = datasets.Features.from_arrow_schema(pyarrow.schema([], schema.metadata))  # refuses damaged metadata
    for field in schema:
        try:
            features |= datasets.Features.from_arrow_schema(pyarrow.schema([field], schema.metadata))
        except ValueError:  # a map: no text, whatever is in it
            features[field.name] = datasets.Value("null")
    return features


def _feature_at(features: Any, path: str) -> Any:
    """The type that a dotted path leads to; none if nothing."""
    known = _inner(features)
    step = first_step(path, known) if isinstance(known, dict) else None
    if step is None:
        return None
    name, rest = step
    return _feature_at(known[name], rest) if rest else known[name]


def _inner(feature: Any) -> Any:
    """The type of one record of a list of them; of pairs of languages, as the hub has them, a record's columns."""
    if isinstance(feature, (datasets.Translation, datasets.TranslationVariableLanguages)):
        return feature.flatten()
    return getattr(feature, "feature", feature)


def _paths(features: Any, prefix: str = "") -> list[str]:
    paths = []
    for name, feature in features.items():
        inner = _inner(feature)
        paths += _paths(inner, f"{prefix}{name}.") if isinstance(inner, dict) else [f"{prefix}{name}"]
    return paths
