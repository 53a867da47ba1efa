"""Published encoders as a table; rows here are made up, the count of one is published."""

import json
import math
from dataclasses import replace

import pytest

from pipeline.config.errors import UserError
from pipeline.search.nas_bench_bert import GLUE_TASKS, TASKS, Layer, encoder_row, num_operations, num_parameters
from pipeline.search.table_file import read_tables

ATTENTION = Layer(operation="SA", kind="SDP", heads=4, intermediate=512, num_feed_forward=3)
WEIGHTED = Layer(operation="SA", kind="WMA", heads=4, intermediate=1024, num_feed_forward=3)
COSINES = Layer(operation="LT", kind="DCT", heads=2, intermediate=512, num_feed_forward=3)
NARROW = Layer(operation="DSC", kind=5, heads=2, intermediate=512, num_feed_forward=1)
WIDE = Layer(operation="DSC", kind=9, heads=4, intermediate=512, num_feed_forward=1)
ROW = {
    "id": 7,
    "seconds_to_train": 2000.0,
    "hidden_size": 128,
    "layers": [vars(ATTENTION), vars(NARROW)],
    "scores": dict(zip(TASKS, (0.0, 50.0, 60.0, 62.0, 70.0, 80.0, 88.0, 90.0), strict=True)) | {"glue": 62.5},
    "num_parameters": 9000000,
    "zero_cost": {"head_confidence": 7.0},
}


def test_parameters_are_the_published_number_at_the_widths_at_which_they_were_counted():
    """The first encoder of the file: 256 wide, 1024 between. With all 500, the file at hand, it is the same."""
    layers = [WEIGHTED, COSINES, ATTENTION, replace(ATTENTION, intermediate=1024, num_feed_forward=1)]
    assert num_parameters(layers, 256, 1024) == 13_330_176
    assert num_parameters(layers, 256) < 13_330_176 > num_parameters(layers, 128, 1024)


@pytest.mark.parametrize("of", [num_parameters, num_operations])
@pytest.mark.parametrize(
    ("less", "more"),
    [
        (ATTENTION, replace(ATTENTION, kind="WMA")),
        (ATTENTION, replace(ATTENTION, intermediate=1024)),
        (replace(ATTENTION, num_feed_forward=1), ATTENTION),
        (COSINES, ATTENTION),
        (NARROW, WIDE),
    ],
)
def test_more_of_anything_costs_more(of, less, more):
    """In either width, and so does the width."""
    for hidden in (128, 256):
        assert of([less], hidden) < of([more], hidden) < of([more, more], hidden)
    assert of([less], 128) < of([less], 256)


def test_a_row_has_the_mean_error_of_the_first_tasks():
    """In alphabetical order; the last is 100 less GLUE."""
    row = encoder_row("here", ROW)
    assert row.errors == {"glue": {1: 100.0, 2: 75.0, 4: 57.0, 8: 37.5}} and row.final == "glue"
    assert row.costs["parameters"] == 9000000 and row.costs["layers"] == 2
    assert row.costs["parameters_as_described"] == num_parameters([ATTENTION, NARROW], 128)
    assert row.scores == {"head_confidence": 7.0}


def test_a_file_of_them_is_told_from_ours(tmp_path):
    """By its fields; what is counted is tasks."""
    path = tmp_path / "architectures.jsonl"
    path.write_text("\n".join(json.dumps({**ROW, "id": name}) for name in (1, 2)))
    (table,) = read_tables(path)
    assert table.names == ("1", "2") and table.unit == GLUE_TASKS and table.end == len(TASKS)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_parameters": None}, "costs"),
        ({"scores": {"cola": 1.0}}, "no field 'mnli'"),
        ({"scores": dict.fromkeys(TASKS, 100.0)}, "errors of 'glue'|errors .* of 'glue'"),
        ({"layers": [{"operation": "SA"}]}, "missing"),
        ({"layers": [{**vars(ATTENTION), "operation": "FFT"}]}, "a layer FFT"),
        ({"layers": [{**vars(ATTENTION), "operation": "DSC"}]}, "a layer DSC of kind 'SDP'"),
        ({"zero_cost": {"head_confidence": math.nan}}, "finite"),
    ],
)
def test_a_line_that_is_no_row_is_named(change, message):
    """With its place."""
    with pytest.raises(UserError, match=f"here: .*{message}"):
        encoder_row("here", {**ROW, **change})
    with pytest.raises(UserError, match="here: no field 'num_parameters'"):
        encoder_row("here", {key: value for key, value in ROW.items() if key != "num_parameters"})
