"""One MLflow run, written in batches that a slow or absent server cannot hold up."""

from __future__ import annotations

import functools
import json
import logging
import math
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, Self

from pipeline.config.masking import masked
from pipeline.console import gauges
from pipeline.storage.disk import disk_trouble
from pipeline.tracking.buffer import DROPPED_TAG, RunBuffer
from pipeline.tracking.lifecycle import told_if_deleted
from pipeline.tracking.local_artifacts import flush_artifacts
from pipeline.tracking.retry import INTERRUPTS, reason_of, with_retries

FLUSH_SECONDS = 2.0
MAX_PARAM_CHARACTERS = 6000
STOPPED = "dq.stopped"  # tag: why a student was given up early
MAX_PARAMS_PER_BATCH = 100

log = logging.getLogger(__name__)


class Run(Protocol):
    """What stages tell a run: one that MLflow keeps, or, on ranks other than 0, one that nobody keeps."""

    @property
    def run_id(self) -> str | None:
        """MLflow's id; none of a run that nobody keeps."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *exception: Any) -> None: ...

    def close(self) -> None:
        """End the run before its `with` block ends."""

    def metrics(self, values: dict[str, float], step: int) -> None:
        """Log metrics of a step."""

    def tags(self, values: dict[str, str]) -> None:
        """Set tags."""

    def artifacts(self, path: Path, folder: str | None = None) -> None:
        """Store a file, or what lies in a folder."""

    def table(self, columns: dict[str, list[str]], file: str) -> None:
        """Store a table."""

    def failed(self, reason: str) -> None:
        """It ends as failed, and says why."""

    def stopped(self, reason: str) -> None:
        """It ends as given up, and says why."""


class NoOpRun:
    """A run that nobody keeps."""

    run_id: str | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: Any) -> None:
        """Nothing to end."""

    def close(self) -> None:
        """Nothing to end."""

    def metrics(self, values: dict[str, float], step: int) -> None:
        """Nothing is kept."""

    def tags(self, values: dict[str, str]) -> None:
        """Nothing is kept."""

    def artifacts(self, path: Path, folder: str | None = None) -> None:
        """Nothing is kept."""

    def table(self, columns: dict[str, list[str]], file: str) -> None:
        """Nothing is kept."""

    def failed(self, reason: str) -> None:
        """Nothing is kept."""

    def stopped(self, reason: str) -> None:
        """Nothing is kept."""


class MlflowRun:
    """One MLflow run; metrics and tags go through a buffer on disk and a thread, so training never waits for a server.

    Leaving the `with` block delivers what is left and sets the status: FINISHED, FAILED, or KILLED on an interrupt.
    What a server that stays away does not take remains in the buffer.

    Raises:
        UserError: by calls that write directly, and at the end, if the run was deleted meanwhile.

    Args:
        client: MLflow's.
        run_id: the run.
        buffer: of this run and this process.
    """

    run_id: str

    def __init__(self, client: Any, run_id: str, buffer: RunBuffer) -> None:
        self.client, self.run_id, self.buffer = client, run_id, buffer
        self.closing = threading.Event()
        self.failure: str | None = None
        self.given_up = False
        self.thread: threading.Thread | None = None
        self.closed = self.away = False
        self.told_dropped = 0

    def __enter__(self) -> Self:
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
        if error is not None and self.failure is None:
            self.failed(f"{type(error).__name__}: {error}")
        status = "FINISHED" if self.failure is None else "FAILED"
        if self.given_up or isinstance(error, INTERRUPTS):
            status = "KILLED"
        try:
            with told_if_deleted(self.client, self.run_id):
                with_retries(functools.partial(self._end, status))
        except Exception as problem:
            self._say_left(problem)
            if error is None:  # else what ended the block is what matters
                raise

    def metrics(self, values: dict[str, float], step: int) -> None:
        """Numbers of an optimiser step; NaN and infinity become a tag, because some stores refuse them."""
        finite = {name: float(value) for name, value in values.items() if math.isfinite(value)}
        self.buffer.metrics(finite, step, int(time.time() * 1000))
        odd = {f"dq.non_finite.{k}": f"{v} at step {step}" for k, v in values.items() if not math.isfinite(v)}
        if odd:
            self.tags(odd)

    def tags(self, values: dict[str, str]) -> None:
        """Tags of the run, cut to what MLflow takes; buffered like metrics."""
        self.buffer.tags({name: value[:MAX_PARAM_CHARACTERS] for name, value in values.items()})

    def replay(self) -> None:
        """Deliver what an earlier process left in the buffer, and remove it.

        Raises:
            MlflowException: MLflow did not take it.
            OSError: likewise.
        """
        try:
            with_retries(self._flush)
        except Exception as problem:
            self._say_left(problem)
            raise
        self.buffer.remove()

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
        self.failure = masked(reason)
        self.tags({"dq.failure": self.failure})

    def stopped(self, reason: str) -> None:
        """The run is given up as the sweep's settings want it; its status will be KILLED, its tag says why."""
        self.given_up = True
        self.tags({STOPPED: masked(reason)})

    def dropped_before(self, num: int) -> None:
        """So many values were dropped by earlier processes; the run's tag counts all."""
        self.buffer.dropped = self.told_dropped = num

    def _flush_regularly(self) -> None:
        while not self.closing.wait(FLUSH_SECONDS):
            try:
                self._flush()
            except Exception as problem:  # whatever happens to the server must not reach training
                if not self.away:
                    reason = told.given if (told := disk_trouble(problem)) else reason_of(problem)
                    log.warning(f"MLflow takes nothing ({reason}); values of a run wait in {self.buffer.path}")
                self._is_away(True)
            else:
                if self.away:
                    log.info(f"MLflow is back and has everything of run {self.run_id}")
                self._is_away(False)

    def _is_away(self, is_away: bool) -> None:
        if is_away != self.away:
            gauges.show(gauges.TRACKING_AWAY, float(is_away), run=self.run_id)
        self.away = is_away

    def _flush(self) -> None:
        from mlflow.entities import Metric, RunTag

        while (batch := self.buffer.next_batch()).end > self.buffer.position:
            metrics, tags = [Metric(**m) for m in batch.metrics], [RunTag(k, v) for k, v in batch.tags.items()]
            self.client.log_batch(self.run_id, metrics=metrics, tags=tags)
            self.buffer.delivered(batch)
        if (dropped := self.buffer.dropped) > self.told_dropped:
            self.client.set_tag(self.run_id, DROPPED_TAG, str(dropped))
            log.warning(
                f"{dropped - self.told_dropped} values of run {self.run_id} were dropped: {self.buffer.path} was full"
            )
            self.told_dropped = dropped

    def _end(self, status: str) -> None:
        if self.thread is not None:
            self.thread.join()
        self._is_away(False)  # this run has no more values
        self._flush()
        if status == "FINISHED":
            flush_artifacts(self.client.get_run(self.run_id).info.artifact_uri)
        self.client.set_terminated(self.run_id, status=status)
        self.buffer.remove()

    def _say_left(self, problem: Exception) -> None:
        log.warning(
            f"MLflow did not take everything of run {self.run_id} ({reason_of(problem)}); what is left lies in"
            f" {self.buffer.path} and is delivered when the same job is submitted again"
        )

    def _persist(self, write: Callable[[], Any]) -> None:
        with told_if_deleted(self.client, self.run_id):
            with_retries(write)


def _flatten(values: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    flat: list[tuple[str, Any]] = []
    for name, value in values.items():
        if isinstance(value, dict):
            flat += _flatten(value, f"{prefix}{name}.")
        else:
            flat.append((f"{prefix}{name}", value))
    return flat
