"""Parquet files whose columns, or what the metadata say of them, are not what is wanted."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from random import Random
from typing import Any

import pyarrow
import pyarrow.parquet


def _unchecked(values: list[bytes]) -> Any:
    """Text that is none."""
    raw = pyarrow.array(values)
    return pyarrow.StringArray.from_buffers(len(values), raw.buffers()[1], raw.buffers()[2])


TYPED: dict[str, Callable[[], Any]] = {
    "numbers": lambda: pyarrow.array([1, 2, None, 2**62, 0, -1]),
    "floats": lambda: pyarrow.array([1.0, float("nan"), float("inf"), None, 1e308, -0.0]),
    "truth": lambda: pyarrow.array([True, False, None, True, True, False]),
    "bytes": lambda: pyarrow.array([b"a", b"\xff", b"", None, b"\0", b"x"]),
    "half a pair": lambda: _unchecked([b"a", b"\xed\xa0\xbd", b"c", b"d", b"e", b"f"]),
    "no UTF-8": lambda: _unchecked([b"a", b"\xff", b"c", b"d", b"e", b"f"]),
    "NUL": lambda: pyarrow.array(["a", "\0", "b", "c", "d", "e"]),
    "lists": lambda: pyarrow.array([["a"], [], None, ["b", None], ["c"], [""]]),
    "lists of lists": lambda: pyarrow.array([[["a"]], [], [[]], None, [[None]], [["b"]]]),
    "records": lambda: pyarrow.array([{"a": 1}, None, {"a": None}, {"a": 2}, {"a": 3}, {"a": 4}]),
    "a map": lambda: pyarrow.array([[("k", "v")]] * 6, pyarrow.map_(pyarrow.string(), pyarrow.string())),
    "nothing": lambda: pyarrow.nulls(6),
    "days": lambda: pyarrow.array([0, 1, 2, None, 2**31 - 1, -(2**31)], pyarrow.date32()),
    "times": lambda: pyarrow.array([0, 2**62, None, -(2**62), 1, 2], pyarrow.timestamp("ns", "Nowhere/City")),
    "decimals": lambda: pyarrow.array([1, 2, 3, None, 5, 6]).cast(pyarrow.decimal128(38, 10)),
    "a dictionary": lambda: pyarrow.array(["a", "b", None, "a", "b", "a"]).dictionary_encode(),
    "long texts": lambda: pyarrow.array(["a"] * 6, pyarrow.large_string()),
    "views": lambda: pyarrow.array(["a", "b", None, "c", "d", "a view that is longer"], pyarrow.string_view()),
    "half numbers": lambda: pyarrow.array([1, 2, 3, 4, 5, None], pyarrow.float16()),
    "durations": lambda: pyarrow.array([0, 1, 2, None, 2**62, -5], pyarrow.duration("us")),
}
FEATURES: dict[str, Any] = {
    "an image": {"_type": "Image"},
    "a sound": {"_type": "Audio", "sampling_rate": 16000},
    "labels": {"names": ["no", "yes"], "_type": "ClassLabel"},
    "too few labels": {"names": [], "_type": "ClassLabel"},
    "a label that is no text": {"names": [1, None], "_type": "ClassLabel"},
    "another type": {"dtype": "int8", "_type": "Value"},
    "no type": {"dtype": "nothing", "_type": "Value"},
    "no kind": {"_type": "Nothing"},
    "a translation": {"languages": ["en", "ro"], "_type": "Translation"},
    "an array": {"shape": [2, 2], "dtype": "int32", "_type": "Array2D"},
    "a list": {"feature": {"dtype": "string", "_type": "Value"}, "_type": "List"},
    "a number": 5,
}


def odd_table(rows: list[dict[str, Any]], rng: Random) -> tuple[str, bytes]:
    """A Parquet file with a column of another type, or whose metadata say another."""
    table = pyarrow.Table.from_pylist(rows)
    column, features = rng.choice(["source", "target", "refs", "id", "more"]), ""
    if (kind := rng.choice([*TYPED, "as it is"])) != "as it is":
        index = table.schema.get_field_index(column)
        values = TYPED[kind]()
        table = table.append_column(column, values) if index < 0 else table.set_column(index, column, values)
    if rng.random() < 0.3:
        features = rng.choice(list(FEATURES))
        info = json.dumps({"info": {"features": {column: FEATURES[features]}}})
        metadata = rng.choice([info, info[:-5], "{}", "null", '{"info": 5}', "\xff", info, info])
        table = table.replace_schema_metadata({"huggingface": metadata})
    out = io.BytesIO()
    try:
        pyarrow.parquet.write_table(table.slice(0, rng.choice([6, 6, 6, 1, 0])), out)
    except pyarrow.ArrowException:
        return "a table that cannot be written", b""
    return f"{column} holds {kind}{f', said to be {features}' if features else ''}", out.getvalue()
