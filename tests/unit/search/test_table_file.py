"""Files of tables."""

import json
import math

import pytest
from search_tables import rows_of

from pipeline.config.errors import UserError
from pipeline.search.table import OPTIMISER_STEPS, tables_of
from pipeline.search.table_file import read_tables, row_of

ROWS = rows_of([(9.0, 5.0, 3.0), (8.0, 6.0, math.inf)])
GOOD = ROWS[0].as_json()


def written(path, records):
    path.write_text("\n".join(record if isinstance(record, str) else json.dumps(record) for record in records))
    return path


def test_what_is_written_is_read(tmp_path):
    """Strict JSON, also where training diverged; empty lines are none."""
    lines = [json.dumps(row.as_json(), allow_nan=False) for row in ROWS]
    (read,) = read_tables(written(tmp_path / "table.jsonl", [lines[0], "", lines[1], ""]))
    (table,) = tables_of(ROWS)
    assert read.names == table.names and read.unit == OPTIMISER_STEPS
    assert read.final_error.tolist() == table.final_error.tolist() == [3.0, math.inf]
    assert [row_of("here", row.as_json()) for row in ROWS] == ROWS


def test_a_row_needs_no_scores():
    """Training-free scores are extra; steps need no order."""
    record = {name: value for name, value in GOOD.items() if name != "scores"}
    errors = {"scratch": dict(reversed(GOOD["errors"]["scratch"].items()))}
    assert row_of("here", {**record, "errors": errors}).errors == ROWS[0].errors
    assert row_of("here", record).scores == {}


@pytest.mark.parametrize(
    ("second", "message"),
    [
        ("{", "line 2: no JSON"),
        ("[]", "line 2: no object"),
        *(
            ({key: value for key, value in GOOD.items() if key != left_out}, f"line 2: no field '{left_out}'")
            for left_out in ("name", "seed", "costs", "errors", "final")
        ),
        ({**GOOD, "name": 3}, "line 2: name = 3"),
        ({**GOOD, "seed": "0"}, "line 2: seed = '0'"),
        ({**GOOD, "seed": True}, "line 2: seed = True"),
        ({**GOOD, "scores": [1]}, "line 2: scores"),
        ({**GOOD, "errors": {"scratch": {"last": 1.0}}}, "line 2: errors of 'scratch'"),
        ({**GOOD, "errors": {"scratch": 1.0}}, "line 2: errors of 'scratch'"),
        ({**GOOD, "errors": {"scratch": {"1": -1.0}}}, "line 2: candidate 'c0'"),
        ({**GOOD, "costs": {"parameters": None}}, "line 2: candidate 'c0'"),
    ],
)
def test_a_line_that_is_no_row_is_named(tmp_path, second, message):
    """By file and number."""
    with pytest.raises(UserError, match=message):
        read_tables(written(tmp_path / "table.jsonl", [ROWS[1].as_json(), second]))


def test_what_is_no_text_is_refused(tmp_path):
    """A packed file, or one without a row."""
    (tmp_path / "packed.jsonl").write_bytes(b"\x1f\x8b\x08")
    (tmp_path / "empty.jsonl").write_text("\n")
    for path, message in (("packed.jsonl", "no text in UTF-8"), ("empty.jsonl", "without rows")):
        with pytest.raises(UserError, match=message):
            read_tables(tmp_path / path)
