"""Examples that may be more than memory holds: in a file that vanishes with the last look into it."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import datasets
import pyarrow

EXAMPLES_AT_ONCE = 1000


def spooled(examples: Iterable[dict[str, Any]], features: datasets.Features, folder: Path) -> datasets.Dataset:
    """A data set of examples as they come.

    Args:
        examples: one dictionary each.
        features: their columns.
        folder: where the file lies; it loses its name before this returns, so that no end of the process leaves it.
    """
    schema, examples = features.arrow_schema, iter(examples)
    folder.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile(dir=folder, prefix=".examples-", suffix=".arrow") as file:
        with pyarrow.ipc.new_stream(file, schema) as stream:
            while batch := list(islice(examples, EXAMPLES_AT_ONCE)):
                stream.write_batch(pyarrow.RecordBatch.from_pylist(batch, schema))
        file.flush()
        table = pyarrow.ipc.open_stream(pyarrow.memory_map(file.name)).read_all()
    # A fingerprint, because the library would read everything to make one; nothing is looked up by it.
    return datasets.Dataset(
        datasets.table.InMemoryTable(table), fingerprint=datasets.fingerprint.generate_random_fingerprint()
    )
