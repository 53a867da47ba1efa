"""Rounds of samples: who is asked when, which samples count, and what is said of those that do."""

import json
from collections import namedtuple

import pytest

from pipeline.benchmarking import rounds as runtime_rounds
from pipeline.benchmarking.results import append_cell, cell_text, read_cells
from pipeline.benchmarking.rounds import OtherLoad, Sampling, TimedSample, rotated, take_rounds, times_of
from pipeline.benchmarking.workers import LiveWorker, WorkerError

SAMPLING = Sampling(source=[[5, 6]], new_tokens=4, rounds=3, seconds=0.5, max_other_load=0.2)
Times = namedtuple("Times", ["user", "system", "idle", "iowait", "steal", "guest"])


class Told:
    """A worker that answers at once and notes that it was asked; it fails when it is asked for the `fails`-th time."""

    def __init__(self, name, asked, fails=None):
        self.name, self.asked, self.fails, self.count = name, asked, fails, 0

    def sample(self, source, new_tokens, seconds):
        self.count += 1
        self.asked.append((self.name, seconds))
        if self.count == self.fails:
            raise WorkerError("gone")
        return {"encode_ms": 1.0, "decode_ms": 8.0 * self.count, "processor_ms": 9.0}

    def processor_seconds(self):
        return 0.0


def quiet(worker):
    return lambda: 0.0


def timed(other_load, encode_ms=1.0, decode_ms=8.0):
    return TimedSample(encode_ms=encode_ms, decode_ms=decode_ms, processor_ms=9.0, other_load=other_load)


def test_every_worker_is_asked_once_a_round_and_nobody_is_always_first():
    """The first turn warms up and leaves no sample."""
    asked, rounds = [], []
    workers = {name: Told(name, asked) for name in "abc"}
    samples, failed = take_rounds(workers, SAMPLING, rounds.append, load=quiet)
    assert [name for name, _ in asked] == [*"abc", *"abc", *"bca", *"cab"]
    assert [seconds for _, seconds in asked] == [0.0] * 3 + [0.5] * 9
    for found in samples.values():
        assert [sample.decode_ms for sample in found] == [16.0, 24.0, 32.0]
        assert {sample.processor_ms for sample in found} == {9.0}
    assert (failed, rounds) == ({}, [1, 2, 3])
    assert rotated([], 3) == []


def test_rounds_go_on_while_samples_are_disturbed_but_not_for_ever():
    """A sample is kept up to the limit, and all are returned."""
    loads = iter([9.9, 0.9, 0.2, 0.9, 0.1, 0.0, 0.9])  # the first is that of the warm-up
    samples, _ = take_rounds({"a": Told("a", [])}, SAMPLING, load=lambda _: lambda: next(loads))
    assert [sample.other_load for sample in samples["a"]] == [0.9, 0.2, 0.9, 0.1, 0.0]
    samples, _ = take_rounds({"a": Told("a", [])}, SAMPLING, load=lambda _: lambda: 0.9)
    assert len(samples["a"]) == runtime_rounds.MAX_ROUNDS * SAMPLING.rounds


@pytest.mark.parametrize("fails", [1, 2])
def test_a_worker_that_fails_is_reported_and_the_others_go_on(fails):
    """While it warms up or later."""
    asked = []
    workers = {"a": Told("a", asked), "b": Told("b", asked, fails=fails)}
    samples, failed = take_rounds(workers, SAMPLING, load=quiet)
    assert failed == {"b": "gone"}
    assert (len(samples["a"]), len(samples["b"])) == (3, 0)
    assert [name for name, _ in asked].count("b") == fails


def test_medians_and_spread_are_of_the_samples_that_count():
    """Disturbed ones are counted, and their load is part of the load that is told."""
    samples = [timed(0.0, 1.0, 4.0), timed(0.1, 2.0, 8.0), timed(0.2, 3.0, 12.0), timed(0.5, 99.0, 99.0)]
    times = times_of(samples, SAMPLING)
    assert (times.num_kept, times.num_dropped) == (3, 1)
    assert times.encode_ms.median == 2.0
    assert times.token_ms.median == 2.0  # four tokens
    assert (times.total_ms.median, times.total_ms.p10, times.total_ms.p90) == pytest.approx((10.0, 6.0, 14.0))
    assert times.other_load == pytest.approx(0.15)


@pytest.mark.parametrize("samples", [[], [timed(0.9)]])
def test_no_sample_that_counts_gives_no_times(samples):
    """Rather than wrong ones."""
    times = times_of(samples, SAMPLING)
    assert (times.encode_ms, times.token_ms, times.total_ms) == (None, None, None)
    assert (times.num_kept, times.num_dropped) == (0, len(samples))


def test_other_load_is_what_others_used_of_the_processors(monkeypatch):
    """Neither idle time nor that of the worker itself; guests are not counted twice."""
    moments = iter([Times(10.0, 5.0, 50.0, 1.0, 0.0, 2.0), Times(13.0, 5.5, 51.0, 2.0, 0.5, 3.0)])
    used, clock = iter([4.0, 5.0]), iter([100.0, 102.0])
    monkeypatch.setattr(runtime_rounds.psutil, "cpu_times", lambda: next(moments))
    monkeypatch.setattr(runtime_rounds.time, "perf_counter", lambda: next(clock))
    worker = type("worker", (), {"processor_seconds": lambda self: next(used)})()
    assert OtherLoad(worker)() == pytest.approx((3.0 + 0.5 + 0.5 - 1.0) / 2.0)


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


def test_cells_are_found_again_also_after_a_line_that_was_cut_off(tmp_path):
    """So that an interrupted benchmark goes on; of a cell that was measured twice the last counts."""
    path = tmp_path / "results" / "cells.jsonl"
    assert read_cells(path) == {}
    append_cell(path, record(batch=1))
    with path.open("a") as file:
        file.write(json.dumps(record(batch=8))[:50])
    append_cell(path, record(batch=1, threads=2))
    append_cell(path, record(batch=1, rounds=9))
    cells = read_cells(path)
    assert set(cells) == {("3-1", 1, 1), ("3-1", 1, 2)}
    assert cells["3-1", 1, 1]["rounds"] == 9


def test_the_table_of_a_cell_names_who_was_left_out_and_who_failed():
    """What was not measured is a dash."""
    text = cell_text(record())
    assert "CTranslate2: left out, it is not installed" in text
    assert "ours: it has ended" in text
    ours = next(line for line in text.splitlines() if line.startswith("ours "))
    assert ours.split().count("-") >= 6
    assert "9 to 11" in text


@pytest.mark.parametrize(
    ("engine", "says"),
    [("onnxruntime", "is not an exported model"), ("foo", "KeyError")],
    ids=["no model there", "no such runtime"],
)
def test_a_worker_that_cannot_load_says_why(tmp_path, engine, says):
    """And is not waited for."""
    with (
        LiveWorker(engine, {"one": tmp_path}, 1, {}, timeout_seconds=120.0) as worker,
        pytest.raises(WorkerError, match=says),
    ):
        worker.loaded()


def test_a_worker_that_was_killed_is_reported(tmp_path):
    """With its exit code."""
    with LiveWorker("foo", {"one": tmp_path}, 1, {}, timeout_seconds=120.0) as worker:
        worker.process.kill()
        worker.process.wait()
        with pytest.raises(WorkerError, match="exit code -9"):
            worker.loaded()
        with pytest.raises(WorkerError):
            worker.sample("one", [[5]], 2, 0.0)


def test_a_worker_that_is_silent_is_given_up(tmp_path):
    """After the time that it is given."""
    with LiveWorker("torch", {"one": tmp_path}, 1, {}, timeout_seconds=0.01) as worker:
        with pytest.raises(WorkerError, match=r"silent for 0\.01 seconds"):
            worker.loaded()
        assert worker.process.wait(timeout=60) == -9
