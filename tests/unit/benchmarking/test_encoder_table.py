"""Ratios of encoders, by arithmetic and as measured, in one line."""

import pytest

from pipeline.benchmarking.encoder_table import cell_text, milliseconds, processor_milliseconds, ratio_lines, ratio_to

SDPA, EAGER = {"attention": "sdpa"}, {"attention": "eager"}


def row(shape, engine, ms, multiplications, options=None, is_fp32=True):
    spread = None if ms is None else {"median": ms, "p10": ms - 1.0, "p90": ms + 1.0}
    times = {"forward_ms": spread, "num_kept": 3, "num_dropped": 1, "other_load": 0.1}
    name = " ".join([f"{shape}, {engine}", *(options or {}).values(), *([] if is_fp32 else ["2-2-8"])])
    about = {"name": name, "shape": shape, "engine": engine, "options": options or {}, "is_fp32": is_fp32}
    sizes = {"multiplications": multiplications, "file_bytes": 1 << 20, "resident_bytes": 1 << 21, "load_ms": 1.0}
    sizes["samples"] = [{"processor_ms": used} for used in (5.5, 7.5, 4.5)] if ms else []
    return {**about, **sizes, "times": times, "error": None if ms else "it has ended"}


def record(*rows, **changes):
    about = {"length": 128, "batch": 1, "threads": 1, "machine": "any", "memory_bytes_per_second": 1e9}
    return {**about, "load_before": 0.0, "left_out": {}, "contenders": list(rows), **changes}


CELL = record(
    row("big", "torch", 80.0, 40_000_000, SDPA),
    row("big", "torch", 90.0, 40_000_000, EAGER),
    row("big", "onnxruntime", 60.0, 40_000_000),
    row("small", "torch", 20.0, 10_000_000, SDPA),
    row("small", "torch", 30.0, 10_000_000, EAGER),
    row("small", "onnxruntime", 12.0, 10_000_000),
    row("small", "onnxruntime", 6.0, 10_000_000, is_fp32=False),
)


@pytest.mark.parametrize(("place", "measured"), [(0, 1.0), (3, 4.0), (4, 3.0), (5, 5.0), (6, 10.0)])
def test_a_ratio_is_to_the_same_runtime_in_fp32(place, measured):
    """With the same attention; a packed model is compared to the other shape in fp32."""
    ratio = ratio_to("big", CELL["contenders"][place], CELL)
    assert ratio.measured == measured
    assert ratio.multiplications == (1.0 if place == 0 else 4.0)


def test_arithmetic_stands_where_nothing_was_measured():
    """Of either; and there is no ratio to a shape that is not there."""
    slow, fast = row("big", "torch", None, 40_000_000, SDPA), row("small", "torch", 20.0, 10_000_000, SDPA)
    ratio = ratio_to("big", fast, record(slow, fast))
    assert (ratio.multiplications, ratio.measured, milliseconds(slow)) == (4.0, None, None)
    assert (processor_milliseconds(slow), processor_milliseconds(fast)) == (None, 5.5)
    assert ratio_to("huge", fast, record(slow, fast)) is None


def test_a_line_says_what_arithmetic_explains_and_what_was_measured():
    """Beside milliseconds with their spread; who failed is named below."""
    text = cell_text(record(*CELL["contenders"], row("lost", "torch", None, 5, SDPA)), ["big"])
    assert "big: arithmetic" in text and "big: measured" in text
    line = next(line for line in text.splitlines() if line.startswith("small, onnxruntime 2-2-8"))
    assert line.split()[3:] == [
        *["6.0", "5.0", "to", "7.0", "4.00x", "10.00x", "5.5", "1.7", "2", "1.0", "1", "0.10", "3", "of", "4"]
    ]
    assert "lost, torch sdpa: it has ended" in text


def test_what_arithmetic_explains_and_every_measured_ratio_stand_in_one_line():
    """Of every cell; a shape is not compared to itself, and a form that a shape lacks is a dash."""
    again = record(*CELL["contenders"], length=32, threads=2)
    head, *lines = ratio_lines([CELL, again], ["big", "huge"])
    forms = ["torch sdpa", "torch eager", "onnxruntime", "onnxruntime 2-2-8"]
    assert head == ["faster", "length", "batch", "threads", "arithmetic", *forms]
    measured = ["4.00x", "4.00x", "3.00x", "5.00x", "10.00x"]
    nothing = ["-"] * 5
    cells = (["128", "1", "1"], ["32", "1", "2"])
    assert lines == [
        *(["big than huge", *cell, *nothing] for cell in cells),
        *(["small than big", *cell, *measured] for cell in cells),
        *(["small than huge", *cell, *nothing] for cell in cells),
    ]
    [_, of_big, *_] = ratio_lines([CELL], ["small"])
    assert of_big == ["big than small", "128", "1", "1", "0.25x", "0.25x", "0.33x", "0.20x", "-"]
