"""Live processes that hold models of one runtime each, seen from whoever asks them."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil

ROOT = Path(__file__).parents[2]
THREAD_SETTINGS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


class WorkerError(Exception):
    """A worker has failed, ended or fallen silent."""


class LiveWorker:
    """One process with models; a context manager that ends it.

    Args:
        engine: runtime.
        paths: of its models, by name.
        threads: that it may use.
        options: of the runtime.
        timeout_seconds: longest silence.
    """

    def __init__(
        self, engine: str, paths: Mapping[str, Path], threads: int, options: dict[str, Any], *, timeout_seconds: float
    ) -> None:
        named = {name: str(path) for name, path in paths.items()}
        request = {"engine": engine, "paths": named, "threads": threads, "options": options}
        self.names = list(named)
        inherited = os.environ.get("PYTHONPATH")
        self.folder = tempfile.TemporaryDirectory()
        self.log = Path(self.folder.name) / "stderr"
        self.timeout_seconds, self.unread = timeout_seconds, b""
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "pipeline.benchmarking.engines.worker", json.dumps(request)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env={
                    **os.environ,
                    **dict.fromkeys(THREAD_SETTINGS, str(threads)),
                    "PYTHONPATH": os.pathsep.join([str(ROOT), *([inherited] if inherited else [])]),
                    "TOKENIZERS_PARALLELISM": "false",
                },
            )
        self.seen = psutil.Process(self.process.pid)

    def __enter__(self) -> LiveWorker:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def loaded(self) -> dict[str, float]:
        """Milliseconds that loading each model took; waits for it.

        Raises:
            WorkerError: it did not.
        """
        return {name: float(self._answer()["load_ms"]) for name in self.names}

    def sample(self, model: str, source: list[list[int]], new_tokens: int, seconds: float) -> dict[str, Any]:
        """What `engines.worker.sampled` measures of one of its models.

        Raises:
            WorkerError: it did not.
        """
        assert self.process.stdin is not None
        line = json.dumps({"model": model, "source": source, "new_tokens": new_tokens, "seconds": seconds})
        try:
            self.process.stdin.write(line.encode() + b"\n")
            self.process.stdin.flush()
        except OSError as error:
            raise WorkerError(f"it has ended: {self._last_words()}") from error
        return self._answer()

    def resident_bytes(self) -> int:
        """Memory that it occupies now."""
        return int(self.seen.memory_info().rss)

    def processor_seconds(self) -> float:
        """Processor time that it has used, of all its threads."""
        times = self.seen.cpu_times()
        return float(times.user + times.system)

    def close(self) -> None:
        """End it, kindly if it listens."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with suppress(OSError):
            self.process.stdin.close()
        try:
            self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.folder.cleanup()

    def _answer(self) -> dict[str, Any]:
        line = self._line()
        try:
            answer: dict[str, Any] = json.loads(line)
        except json.JSONDecodeError:
            raise WorkerError(f"it said {line[:80]!r}") from None
        if "error" in answer:
            raise WorkerError(answer["error"])
        return answer

    def _line(self) -> bytes:
        assert self.process.stdout is not None
        pipe, until = self.process.stdout.fileno(), time.monotonic() + self.timeout_seconds
        while b"\n" not in self.unread:
            ready, _, _ = select.select([pipe], [], [], max(0.0, until - time.monotonic()))
            if not ready:
                self.process.kill()
                raise WorkerError(f"silent for {self.timeout_seconds:g} seconds")
            if not (part := os.read(pipe, 1 << 16)):
                raise WorkerError(f"it has ended: {self._last_words()}")
            self.unread += part
        line, _, self.unread = self.unread.partition(b"\n")
        return line

    def _last_words(self) -> str:
        """How it ended, and the end of what it printed."""
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=5)
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return f"exit code {self.process.returncode}" + (f", {lines[-1][:200]}" if lines else "")


@dataclass(frozen=True)
class LiveModel:
    """One model of a process; see `rounds.Worker`. The others of its process rest while it is asked."""

    worker: LiveWorker
    name: str

    def sample(self, source: list[list[int]], new_tokens: int, seconds: float) -> dict[str, Any]:
        """See `LiveWorker.sample`."""
        return self.worker.sample(self.name, source, new_tokens, seconds)

    def processor_seconds(self) -> float:
        """Of its process."""
        return self.worker.processor_seconds()
