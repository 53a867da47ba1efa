"""One MLflow run, written in batches that a slow or absent server cannot hold up."""

from __future__ import annotations

import contextlib
import functools
import json
import logging
import math
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

Answer = TypeVar("Answer")

FLUSH_SECONDS = 2.0
PATIENCE_SECONDS = 600.0  # how long a finished run waits for a server that is away
MAX_PARAM_CHARACTERS = 6000
MAX_METRICS_PER_BATCH, MAX_PARAMS_PER_BATCH = 1000, 100
# What the client reports when a server is away or overloaded; other errors would be the same on every try.
PASSING_ERRORS = ("INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED")

log = logging.getLogger(__name__)


class SilentRun:
    """A run that nobody records: on ranks other than 0."""

    run_id: str | None = None

    def __enter__(self) -> SilentRun:
        return self

    def __exit__(self, *exception: Any) -> None:
        """Nothing to end."""

    def close(self) -> None:
        """See `MlflowRun.close`."""

    def metrics(self, values: dict[str, float], step: int) -> None:
        """See `MlflowRun.metrics`."""

    def tags(self, values: dict[str, str]) -> None:
        """See `MlflowRun.tags`."""

    def artifacts(self, path: Path, folder: str | None = None) -> None:
        """See `MlflowRun.artifacts`."""

    def table(self, columns: dict[str, list[str]], file: str) -> None:
        """See `MlflowRun.table`."""

    def failed(self, reason: str) -> None:
        """See `MlflowRun.failed`."""


class MlflowRun(SilentRun):
    """One MLflow run; metrics go through a buffer and a thread, so training never waits for the server.

    Leaving the `with` block writes what is left and sets the status: FINISHED, FAILED, or KILLED on an interrupt.
    """

    def __init__(self, client: Any, run_id: str) -> None:
        self.client, self.run_id = client, run_id
        self.pending: list[Any] = []
        self.pending_tags: dict[str, str] = {}
        self.lock, self.closing = threading.Lock(), threading.Event()
        self.failure: str | None = None
        self.thread: threading.Thread | None = None
        self.closed = False

    def __enter__(self) -> MlflowRun:
        self.thread = threading.Thread(target=self._flush_regularly, daemon=True)
        self.thread.start()
        return self

    def close(self) -> None:
        """End the run before its `with` block ends; what happens there afterwards does not concern it."""
        self.__exit__(None, None, None)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        if self.closed:
            return
        self.closed = True
        self.closing.set()
        if self.thread is not None:
            self.thread.join()
        if error is not None and self.failure is None:
            self.failed(f"{type(error).__name__}: {error}")
        self._persist(self._flush)
        status = "FINISHED" if self.failure is None else "FAILED"
        if kind in (KeyboardInterrupt, SystemExit):  # Ray stops a job by the latter
            status = "KILLED"
        self._persist(lambda: self.client.set_terminated(self.run_id, status=status))

    def metrics(self, values: dict[str, float], step: int) -> None:
        """Numbers of an optimiser step; NaN and infinity become a tag, because some stores refuse them."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        with self.lock:
            self.pending += [Metric(k, float(v), now, step) for k, v in values.items() if math.isfinite(v)]
        odd = {f"dq.non_finite.{k}": f"{v} at step {step}" for k, v in values.items() if not math.isfinite(v)}
        if odd:
            self.tags(odd)

    def tags(self, values: dict[str, str]) -> None:
        """Tags of the run; buffered like metrics."""
        with self.lock:
            self.pending_tags |= {name: value[:MAX_PARAM_CHARACTERS] for name, value in values.items()}

    def params(self, values: dict[str, Any], written: frozenset[str] = frozenset()) -> None:
        """Settings, nested dictionaries as dotted names, values cut to MLflow's limit.

        Args:
            values: the settings.
            written: names that the run has already; MLflow refuses to change a parameter.
        """
        from mlflow.entities import Param

        flat = [
            Param(name, str(value)[:MAX_PARAM_CHARACTERS])
            for name, value in _flatten(values)
            if value is not None and name not in written
        ]
        for start in range(0, len(flat), MAX_PARAMS_PER_BATCH):
            batch = flat[start : start + MAX_PARAMS_PER_BATCH]
            self._persist(functools.partial(self.client.log_batch, self.run_id, params=batch))

    def text(self, text: str, file: str) -> None:
        """A text as an artifact."""
        self._persist(lambda: self.client.log_text(self.run_id, text, file))

    def artifacts(self, path: Path, folder: str | None = None) -> None:
        """A file, or a folder's content, as artifacts below `folder`."""
        upload = self.client.log_artifacts if path.is_dir() else self.client.log_artifact
        self._persist(lambda: upload(self.run_id, str(path), folder))

    def table(self, columns: dict[str, list[str]], file: str) -> None:
        """A table that the MLflow UI shows as one; it replaces an older one (`log_table` would append to it)."""
        rows = [list(row) for row in zip(*columns.values(), strict=True)]
        self._persist(lambda: self.client.log_dict(self.run_id, {"columns": list(columns), "data": rows}, file))
        self.tags({"mlflow.loggedArtifacts": json.dumps([{"path": file, "type": "table"}])})

    def failed(self, reason: str) -> None:
        """The run is lost; its status will say so."""
        self.failure = reason
        self.tags({"dq.failure": reason})

    def _flush_regularly(self) -> None:
        while not self.closing.wait(FLUSH_SECONDS):
            # Whatever happens to the server must not reach training; what was not written stays pending.
            with contextlib.suppress(Exception):
                self._flush()

    def _flush(self) -> None:
        from mlflow.entities import RunTag

        while True:
            with self.lock:
                batch, tags = self.pending[:MAX_METRICS_PER_BATCH], dict(self.pending_tags)
            if not batch and not tags:
                return
            self.client.log_batch(self.run_id, metrics=batch, tags=[RunTag(k, v) for k, v in tags.items()])
            with self.lock:
                del self.pending[: len(batch)]
                self.pending_tags = {k: v for k, v in self.pending_tags.items() if tags.get(k) != v}

    def _persist(self, write: Callable[[], Any]) -> None:
        patiently(write)


def patiently(call: Callable[[], Answer], patience_seconds: float = PATIENCE_SECONDS) -> Answer:
    """Repeat a call to MLflow until it succeeds or patience ends; its last error is raised then."""
    from mlflow.exceptions import MlflowException

    deadline, pause = time.monotonic() + patience_seconds, 1.0
    while True:
        try:
            return call()
        except (MlflowException, OSError) as error:
            lasting = getattr(error, "error_code", None) not in (None, *PASSING_ERRORS)
            if lasting or time.monotonic() + pause > deadline:
                raise
            log.warning("MLflow does not answer (%s); trying again in %.0f s", str(error)[:200], pause)
            time.sleep(pause)
            pause = min(2 * pause, 30.0)


def _flatten(values: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    flat: list[tuple[str, Any]] = []
    for name, value in values.items():
        if isinstance(value, dict):
            flat += _flatten(value, f"{prefix}{name}.")
        else:
            flat.append((f"{prefix}{name}", value))
    return flat
