"""The buffer of a run: everything in its order, whatever is killed when; bounded, and honest about what did not fit."""

import json
import threading
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.tracking import buffer as buffer_module
from pipeline.tracking.buffer import BATCH_VALUES, RunBuffer

KEYS = ("loss", "norm")


def drained(buffer):
    """Everything that is left, as (key, step) and tags, delivered batch by batch."""
    metrics, tags = [], {}
    while (batch := buffer.next_batch()).end > buffer.position:
        assert len(batch.metrics) <= BATCH_VALUES
        metrics += [(metric["key"], metric["step"]) for metric in batch.metrics]
        tags |= batch.tags
        buffer.delivered(batch)
    return metrics, tags


def write_steps(buffer, steps):
    for step in steps:
        buffer.metrics(dict.fromkeys(KEYS, float(step)), step, timestamp=step)


def test_values_come_out_as_they_went_in(tmp_path):
    """Names, numbers to the last bit, steps, times; tags with their last text."""
    buffer = RunBuffer(tmp_path / "run.jsonl")
    buffer.metrics({"a loss": 0.1 + 0.2}, 7, timestamp=123)
    buffer.tags({"tag": "first\nline \ud83d\ude00"})
    buffer.tags({"tag": "last"})
    batch = buffer.next_batch()
    assert batch.metrics == [{"key": "a loss", "value": 0.1 + 0.2, "timestamp": 123, "step": 7}]
    assert batch.tags == {"tag": "last"}


def test_a_long_backlog_comes_in_batches_in_order(tmp_path):
    """No more of it is in memory than MLflow takes at once; the file is empty at the end and gone when removed."""
    buffer = RunBuffer(tmp_path / "run.jsonl")
    write_steps(buffer, range(2500))
    metrics, _ = drained(buffer)
    assert metrics == [(key, step) for step in range(2500) for key in KEYS]
    assert buffer.path.stat().st_size == 0
    buffer.remove()
    assert list(tmp_path.iterdir()) == []


def test_writing_and_delivering_at_once_loses_nothing(tmp_path):
    """The file is emptied again and again under the writer's hands."""
    buffer, arrived = RunBuffer(tmp_path / "run.jsonl"), []
    writer = threading.Thread(target=write_steps, args=(buffer, range(4000)))
    writer.start()
    while writer.is_alive():
        arrived += drained(buffer)[0]
    assert arrived + drained(buffer)[0] == [(key, step) for step in range(4000) for key in KEYS]


@settings(max_examples=50, deadline=None, derandomize=True)
@given(
    actions=st.lists(st.sampled_from(["write", "deliver", "die before the position", "die", "torn"]), max_size=30),
    batch_values=st.integers(1, 5),
)
@example(actions=["write", "deliver", "deliver", "write", "write", "die"], batch_values=3)  # emptied, then filled again
def test_whatever_dies_when_no_value_is_lost_and_none_overtakes_another(tmp_path_factory, actions, batch_values):
    """Values may come twice after a death, but the first time of each is in the order of writing."""
    path = tmp_path_factory.mktemp("buffer") / "run.jsonl"
    buffer, arrived, step = RunBuffer(path), [], 0
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(buffer_module, "BATCH_VALUES", batch_values)
        for action in [*actions, *["deliver"] * 70]:
            if action == "write":
                write_steps(buffer, range(step, step + 2))
                step += 2
            elif action in ("deliver", "die before the position"):
                batch = buffer.next_batch()
                arrived += [(metric["key"], metric["step"]) for metric in batch.metrics]
                if action == "deliver":
                    buffer.delivered(batch)
            if action.startswith("die") or action == "torn":
                buffer.close()
                if action == "torn":
                    with path.open("ab") as file:
                        file.write(b'{"key": "loss", "val')
                buffer = RunBuffer(path)
        assert buffer.next_batch().end == buffer.position
    buffer.close()
    assert list(dict.fromkeys(arrived)) == [(key, number) for number in range(step) for key in KEYS]


def test_garbage_between_lines_is_skipped(tmp_path):
    """A power cut may leave it; what follows is delivered all the same."""
    path = tmp_path / "run.jsonl"
    good = json.dumps({"key": "loss", "value": 1.0, "timestamp": 1, "step": 1}).encode()
    path.write_bytes(b"\x00" * 300_000 + b"\n" + good + b"\n[1]\nnot json\n" + good.replace(b": 1}", b": 2}") + b"\n")
    assert drained(RunBuffer(path)) == ([("loss", 1), ("loss", 2)], {})


@pytest.mark.parametrize("position", ["999999", "not a number", ""])
def test_a_position_that_cannot_be_means_the_beginning(tmp_path, position):
    """Twice is harmless, never is not."""
    path = tmp_path / "run.jsonl"
    write_steps(RunBuffer(path), range(3))
    path.with_suffix(".position").write_text(position)
    assert len(drained(RunBuffer(path))[0]) == 6


def test_a_full_buffer_thins_curves_and_counts(tmp_path):
    """The file stays within its bound, a curve goes on for longer than fits; kept and dropped are all there were."""
    buffer = RunBuffer(tmp_path / "run.jsonl", max_bytes=20_000)
    write_steps(buffer, range(3000))
    assert buffer.path.stat().st_size <= 20_000
    dropped = buffer.dropped
    metrics, tags = drained(buffer)
    assert len(metrics) + dropped == 6000
    assert dropped // 2 < int(tags["dq.dropped_metrics"]) <= dropped  # what a killed process would leave
    steps = [step for key, step in metrics if key == "loss"]
    assert steps == [step for key, step in metrics if key == "norm"]  # steps are kept whole
    assert steps[:50] == list(range(50))
    assert steps[-1] > 4 * len(steps)
    gaps = [after - before for before, after in pairwise(steps)]
    assert gaps == sorted(gaps)


def test_results_and_tags_find_room_in_a_full_buffer(tmp_path):
    """A metric that is written once is not one of many; the next of a full curve is."""
    buffer = RunBuffer(tmp_path / "run.jsonl", max_bytes=100_000)
    for step in range(20_000):
        buffer.metrics({"loss": 1.0}, step, timestamp=step)
    buffer.metrics({"test_rougeL": 30.0}, 20_000, timestamp=1)
    buffer.tags({"dq.split": "test"})
    metrics, tags = drained(buffer)
    assert metrics[-1] == ("test_rougeL", 20_000)
    assert tags["dq.split"] == "test"


def test_an_emptied_buffer_keeps_every_value_again(tmp_path):
    """Thinning ends with the outage."""
    buffer = RunBuffer(tmp_path / "run.jsonl", max_bytes=20_000)
    write_steps(buffer, range(1000))
    drained(buffer)
    before = buffer.dropped
    write_steps(buffer, range(1000, 1050))
    assert drained(buffer)[0] == [(key, step) for step in range(1000, 1050) for key in KEYS]
    assert buffer.dropped == before


def test_a_full_disk_is_counted_and_leaves_no_half_line(tmp_path, monkeypatch):
    """Half of a write is taken back; training goes on."""
    buffer = RunBuffer(tmp_path / "run.jsonl")
    write_steps(buffer, range(2))
    real = buffer.file

    class FullDisk:
        def write(self, data):
            real.write(data[:10])
            return 10

        def __getattr__(self, name):
            return getattr(real, name)

    monkeypatch.setattr(buffer, "file", FullDisk())
    write_steps(buffer, range(2, 4))
    monkeypatch.undo()
    write_steps(buffer, range(4, 5))
    assert buffer.dropped == 4
    assert [step for key, step in drained(buffer)[0] if key == "loss"] == [0, 1, 4]


def test_what_was_told_lies_on_the_disk(tmp_path, monkeypatch):
    """When the call returns: a checkpoint that comes after it may be all that is left by a power cut."""
    flushed, real = [], buffer_module.flush_file
    monkeypatch.setattr(buffer_module, "flush_file", lambda path: (flushed.append(path.read_bytes()), real(path)))
    buffer = RunBuffer(tmp_path / "run.jsonl")
    write_steps(buffer, range(3))
    buffer.tags({"a": "b"})
    assert len(flushed) == 4 and flushed[-1] == buffer.path.read_bytes() and flushed[0].count(b"\n") == len(KEYS)
