"""What people read of a cell of the benchmark `runtime`."""

from pipeline.benchmarking.runtime_table import cell_text


def record(depth="3-1", batch=1, threads=1, **changes):
    spread = {"median": 10.0, "p10": 9.0, "p90": 11.0}
    times = {
        "encode_ms": spread,
        "token_ms": spread,
        "total_ms": spread,
        "num_kept": 7,
        "num_dropped": 0,
        "other_load": 0.1,
    }
    row = {"name": "teacher", "depth": "6-6", "engine": "torch", "file_bytes": 1 << 20, "error": None}
    row |= {"resident_bytes": 1 << 20, "load_ms": 1.0, "floor_ms": 1.0, "floor": "memory", "times": times}
    lost = dict.fromkeys(("encode_ms", "token_ms", "total_ms")) | {"num_kept": 0, "num_dropped": 0, "other_load": None}
    other = row | {"name": "ours", "engine": "onnxruntime", "depth": depth, "error": "it has ended", "times": lost}
    other |= {"resident_bytes": None, "load_ms": None}
    about = {"source_tokens": 4, "new_tokens": 4, "machine": "any", "memory_bytes_per_second": 1e9, "load_before": 0.0}
    cell = {"depth": depth, "batch": batch, "threads": threads, "left_out": {"CTranslate2": "it is not installed"}}
    return cell | about | {"contenders": [row, other]} | changes


def test_the_table_of_a_cell_names_who_was_left_out_and_who_failed():
    """What was not measured is a dash."""
    text = cell_text(record())
    assert "CTranslate2: left out, it is not installed" in text
    assert "ours: it has ended" in text
    ours = next(line for line in text.splitlines() if line.startswith("ours "))
    assert ours.split().count("-") >= 6
    assert "9 to 11" in text
