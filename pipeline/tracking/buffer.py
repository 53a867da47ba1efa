"""Metrics and tags of one run on their way to MLflow, kept on disk until the server has taken them.

Two files of one process: `<run id>.<start>.jsonl`, a line per value, only ever appended to or emptied, and beside it
`.position`, how many of its bytes the server has. That is written after the server answered, so values may be
delivered twice, but never not at all. Twice is harmless: key, timestamp, step and value are the primary key of a metric
in MLflow's SQL store, which inserts what is missing of a batch and drops the rest
(`SqlAlchemyStore._log_metrics_once`, MLflow 3.17); a tag is overwritten.
"""

from __future__ import annotations

import json
import os
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.storage.atomic import atomic_text, flush_file

MAX_BUFFER_BYTES = 64 << 20  # of one run; about 700,000 values
BATCH_VALUES = 1000  # MLflow takes no more metrics at once
BATCH_BYTES = 256 << 10  # MLflow takes 1 MB at once, a little more of it per value than a line is long
DROPPED_TAG = "dq.dropped_metrics"


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Values in the order in which they were written.

    Args:
        metrics: key, value, timestamp (ms) and step of each.
        tags: the last text of each.
        end: the position behind them.
    """

    metrics: list[dict[str, Any]]
    tags: dict[str, str]
    end: int


class RunBuffer:
    """A bounded file between one writing and one reading thread.

    Every call waits until its lines lie on the disk: a checkpoint that is written afterwards knows that they are told.
    The fuller the file, the thinner it is written: when half of the room is left, every second value of a metric is
    kept, of the next half every fourth, and so on: a full-sized file lasts ten times as long, and a curve becomes
    coarser before it ends. The first value of each metric is always kept: results are written once. What does not fit
    is dropped and counted.

    Args:
        path: the file; an earlier process may have left it.
        max_bytes: it never grows larger.

    Raises:
        OSError: the file cannot be opened.
    """

    def __init__(self, path: Path, max_bytes: int = MAX_BUFFER_BYTES) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path, self.max_bytes, self.lock = path, max_bytes, threading.Lock()
        self.position_path = path.with_suffix(".position")
        self.file = path.open("a+b", buffering=0)
        self.size = self._without_torn_line()
        self.saved_position = self._read_position()
        self.position = self.saved_position if self.saved_position <= self.size else 0
        self.seen: dict[str, int] = {}
        self.dropped = 0  # values, since the run began

    @property
    def reserve(self) -> int:
        """Bytes that only tags and first values may fill."""
        return self.max_bytes // 64

    def metrics(self, values: dict[str, float], step: int, timestamp: int) -> None:
        """Finite numbers of an optimiser step; `timestamp` in ms."""
        with self.lock:
            lines = [
                _line({"key": key, "value": value, "timestamp": timestamp, "step": step})
                for key, value in values.items()
                if self._is_kept(key)
            ]
            self._append(lines)
        self._flush()

    def tags(self, values: dict[str, str]) -> None:
        """Tags of the run."""
        with self.lock:
            self._append([_line({"tag": tag, "text": text}) for tag, text in values.items()])
        self._flush()

    def next_batch(self) -> Batch:
        """The oldest values that are not delivered; empty if all are. Lines that were torn are left out."""
        metrics: list[dict[str, Any]] = []
        tags: dict[str, str] = {}
        end, size = self.position, self.size
        lines = os.pread(self.file.fileno(), min(BATCH_BYTES, size - end), end).splitlines(keepends=True)
        if len(lines) > 1 and not lines[-1].endswith(b"\n"):
            lines.pop()  # the rest of it belongs to the next batch
        for line in lines[:BATCH_VALUES]:
            end += len(line)
            value = _value(line)
            if "tag" in value:
                tags[value["tag"]] = value["text"]
            elif value:
                metrics.append(value)
        return Batch(metrics=metrics, tags=tags, end=end)

    def delivered(self, batch: Batch) -> None:
        """MLflow has a batch; the file is emptied when nothing is left in it."""
        self.position = batch.end
        if batch.end < self.size:
            self._save_position(batch.end)
            return
        self._save_position(0)  # first: killed in between, everything is delivered again
        with self.lock:
            if self.position == self.size:
                self.file.truncate(0)
                self.position = self.size = 0

    def close(self) -> None:
        """Leave the file to the next process."""
        self.file.close()

    def remove(self) -> None:
        """The run has ended and MLflow has everything."""
        self.close()
        self.path.unlink(missing_ok=True)
        self.position_path.unlink(missing_ok=True)

    def _is_kept(self, key: str) -> bool:
        """Whether this value of a metric is one of those that are kept at this filling."""
        count = self.seen[key] = self.seen.get(key, 0) + 1
        room = self.max_bytes - self.reserve
        free = max(room - self.size, 1)
        every = 1 << ((room // free).bit_length() - 1)
        kept = count == 1 or (count % every == 0 and free > 1)
        if not kept:
            self._drop(1)
        return kept

    def _flush(self) -> None:
        """Outside of the lock: whoever delivers does not wait for the disk."""
        with suppress(OSError):  # as of `_written`
            flush_file(self.path)

    def _append(self, lines: list[bytes]) -> None:
        whole = b"".join(lines)
        if self.size + len(whole) > self.max_bytes or not self._written(whole):
            self._drop(len(lines))

    def _written(self, whole: bytes) -> bool:
        """Whether the operating system took all of it; half of a line is taken back."""
        try:
            if self.file.write(whole) == len(whole):
                self.size += len(whole)
                return True
            self.file.truncate(self.size)
        except OSError:  # the disk is full, the storage away: training goes on, the loss is counted
            pass
        return False

    def _drop(self, num: int) -> None:
        before = self.dropped
        self.dropped += num
        if before.bit_length() < self.dropped.bit_length():  # rarely, so that a killed process leaves the magnitude
            line = _line({"tag": DROPPED_TAG, "text": str(self.dropped)})
            if self.size + len(line) <= self.max_bytes:
                self._written(line)

    def _without_torn_line(self) -> int:
        """Cut off what a killed process did not write to its end; returns the size in bytes."""
        size, newline = self.path.stat().st_size, -1
        while size and newline < 0:
            start = max(0, size - BATCH_BYTES)
            newline = os.pread(self.file.fileno(), size - start, start).rfind(b"\n")
            size = start + newline + 1
        self.file.truncate(size)
        return size

    def _read_position(self) -> int:
        try:
            return int(self.position_path.read_text())
        except (FileNotFoundError, ValueError):
            return 0

    def _save_position(self, position: int) -> None:
        if position == self.saved_position:
            return
        atomic_text(self.position_path, str(position))
        self.saved_position = position


def _line(value: dict[str, Any]) -> bytes:
    return json.dumps(value).encode() + b"\n"


def _value(line: bytes) -> dict[str, Any]:
    """The value of a line; nothing of a torn one."""
    try:
        value = json.loads(line)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
