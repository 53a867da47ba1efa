"""What was measured so far: one line per cell."""

import json

from pipeline.benchmarking.results import append_cell, conditions_of, is_measured, notes_of, read_cells

NAMES = ("depth", "batch", "threads")


def cell(depth="3-1", batch=1, threads=1, **changes):
    return {"depth": depth, "batch": batch, "threads": threads, **changes}


def test_cells_are_found_again_also_after_a_line_that_was_cut_off(tmp_path):
    """So that an interrupted benchmark goes on; of a cell that was measured twice the last counts."""
    path = tmp_path / "results" / "cells.jsonl"
    assert read_cells(path, NAMES) == {}
    append_cell(path, cell(batch=1))
    with path.open("a") as file:
        file.write(json.dumps(cell(batch=8))[:20])
    append_cell(path, cell(batch=1, threads=2))
    append_cell(path, cell(batch=1, rounds=9))
    cells = read_cells(path, NAMES)
    assert set(cells) == {("3-1", 1, 1), ("3-1", 1, 2)}
    assert cells["3-1", 1, 1]["rounds"] == 9


def test_who_has_no_times_is_named_with_the_reason():
    """Whether it was left out or failed."""
    rows = [{"name": "ours", "error": "it has ended"}, {"name": "theirs", "error": None}]
    notes = notes_of({"left_out": {"other": "it is not installed"}, "contenders": rows})
    assert notes == ["other: left out, it is not installed", "ours: it has ended"]


def test_conditions_name_threads_and_machine():
    """One thread is not several."""
    record = {"machine": "any", "memory_bytes_per_second": 1e9, "load_before": 0.25}
    assert conditions_of({**record, "threads": 1}).startswith("1 thread (any; one core reads memory at 1.0 GB/s")
    assert conditions_of({**record, "threads": 2}).startswith("2 threads (any")


def test_a_cell_counts_as_measured_where_enough_samples_of_everyone_count():
    """One whose samples others disturbed does not; nobody waits for a contender that failed."""
    enough, few = ({"error": None, "times": {"num_kept": number}} for number in (3, 2))
    failed = {"error": "it has ended", "times": {"num_kept": 0}}
    assert is_measured(cell(contenders=[enough, failed]), 3)
    assert not is_measured(cell(contenders=[enough, few]), 3)
    assert is_measured(cell(contenders=[enough, few]), 2)
    assert not is_measured(None, 1)
