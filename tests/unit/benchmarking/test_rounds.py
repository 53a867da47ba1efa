"""Rounds of samples: who is asked when, which samples count, and what is said of those that do."""

from collections import namedtuple

import pytest

from pipeline.benchmarking import rounds as runtime_rounds
from pipeline.benchmarking.rounds import (
    FORWARD_MS,
    OtherLoad,
    Sampling,
    TimedSample,
    generation_ms,
    rotated,
    samples_text,
    take_rounds,
    times_of,
)
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
    times = times_of(samples, SAMPLING.max_other_load, generation_ms(SAMPLING.new_tokens))
    assert (times.num_kept, times.num_dropped) == (3, 1)
    assert times.spreads["encode_ms"].median == 2.0
    assert times.spreads["token_ms"].median == 2.0  # four tokens
    total = times.spreads["total_ms"]
    assert (total.median, total.p10, total.p90) == pytest.approx((10.0, 6.0, 14.0))
    assert times.other_load == pytest.approx(0.15)
    record = times.record()
    assert record["total_ms"]["median"] == total.median and record["num_kept"] == 3
    assert (samples_text(record), samples_text(record | {"num_dropped": 0})) == ("3 of 4", "3")


def test_a_forward_pass_has_one_stage():
    """All that its worker says is of the encoder."""
    samples = [timed(0.0, encode_ms=ms, decode_ms=0.0) for ms in (3.0, 1.0, 2.0)]
    [(name, found)] = times_of(samples, 0.2, FORWARD_MS).spreads.items()
    assert (name, found.median) == ("forward_ms", 2.0)


@pytest.mark.parametrize("samples", [[], [timed(0.9)]])
def test_no_sample_that_counts_gives_no_times(samples):
    """Rather than wrong ones."""
    times = times_of(samples, SAMPLING.max_other_load, generation_ms(SAMPLING.new_tokens))
    assert times.spreads == {"encode_ms": None, "token_ms": None, "total_ms": None}
    assert (times.num_kept, times.num_dropped) == (0, len(samples))


def test_other_load_is_what_others_used_of_the_processors(monkeypatch):
    """Neither idle time nor that of the worker itself; guests are not counted twice."""
    moments = iter([Times(10.0, 5.0, 50.0, 1.0, 0.0, 2.0), Times(13.0, 5.5, 51.0, 2.0, 0.5, 3.0)])
    used, clock = iter([4.0, 5.0]), iter([100.0, 102.0])
    monkeypatch.setattr(runtime_rounds.psutil, "cpu_times", lambda: next(moments))
    monkeypatch.setattr(runtime_rounds.time, "perf_counter", lambda: next(clock))
    worker = type("worker", (), {"processor_seconds": lambda self: next(used)})()
    assert OtherLoad(worker)() == pytest.approx((3.0 + 0.5 + 0.5 - 1.0) / 2.0)


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
