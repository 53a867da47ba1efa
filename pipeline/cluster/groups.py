"""Groups of workers: several at the same time, each watched, because Ray alone would wait for lost nodes for ever.

Ray places a group when there is room for it, in the order in which they were asked for.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import NoReturn, TypeVar

from pipeline.cluster.group_states import DONE, FAILED, TRAINING, WAITING, is_now
from pipeline.cluster.room import check_resources, nodes_alive
from pipeline.cluster.stop_files import StopFiles
from pipeline.config.errors import UserError
from pipeline.config.sections.cluster import ClusterConfig
from pipeline.training.stop_request import Stopped, asked, at_steps, seconds_asked

WATCH_SECONDS = 5.0
POLL_SECONDS = 0.5  # until a request to stop is noticed
STOP_SECONDS = 20.0  # for a checkpoint: who asks kills after 30 s, and runs in MLflow are to be ended before

Answer = TypeVar("Answer")

log = logging.getLogger(__name__)


def run_side_by_side(
    calls: Mapping[str, Callable[[], None]], cluster: ClusterConfig, on_end: Callable[[str, Exception | None], None]
) -> None:
    """Make calls that each run a group of workers: together on Ray, one after the other in this process alone.

    Args:
        calls: name -> call of `run_workers`.
        cluster: a group of workers.
        on_end: told which call ended, with its error if it has one; the others go on.

    Raises:
        Stopped: the job was asked to stop.
    """
    if cluster.launcher == "process":
        for name, call in calls.items():
            on_end(name, _error_of(call))
        return
    ended: queue.Queue[tuple[str, Exception | Stopped | None]] = queue.Queue()

    def run(name: str) -> None:
        try:
            ended.put((name, _error_of(calls[name])))
        except Stopped as stop:  # all of them are: each waits for its own workers
            ended.put((name, stop))

    with at_steps():  # a request ends the calls, and they end this
        for name in calls:
            _start_thread(name, partial(run, name))
        for _ in calls:
            name, error = _next(ended)
            if not isinstance(error, Stopped):
                on_end(name, error)


def _next(ended: queue.Queue[Answer]) -> Answer:
    """The next that is told by a thread.

    Raises:
        Stopped: the job was asked to stop, and none was told in time.
    """
    while True:
        try:
            return ended.get(timeout=POLL_SECONDS)
        except queue.Empty:
            if (seconds_asked() or 0.0) > STOP_SECONDS + POLL_SECONDS:
                raise Stopped from None


def run_watched(
    call: Callable[[], None], name: str, cluster: ClusterConfig, memory_bytes: float, files: StopFiles
) -> None:
    """Wait for a call that runs a group of workers on Ray, unless nodes are lost that it cannot be without.

    Where the job is asked to stop, the group is told, and waited for if it has something to save.

    Args:
        call: the call; its errors are raised here.
        name: of the group, for people.
        cluster: the group.
        memory_bytes: what each of its workers reserves.
        files: that its workers look at.

    Raises:
        UserError: nodes were lost and not replaced in time.
        Stopped: the job was asked to stop.
    """
    ended: queue.Queue[Exception | None] = queue.Queue()
    _start_thread(name, lambda: ended.put(_error_of(call)))
    watch = _Watch(name, cluster, memory_bytes)
    state = FAILED
    is_now(name, WAITING)
    try:
        with at_steps():
            while not asked():
                try:
                    error = ended.get(timeout=POLL_SECONDS)
                except queue.Empty:
                    watch.look_regularly()
                    is_now(name, TRAINING if files.is_training() else WAITING)
                    continue
                if error is not None:
                    raise error
                state = DONE
                return
            _stop(name, ended, files)
    finally:
        is_now(name, state)


def _stop(name: str, ended: queue.Queue[Exception | None], files: StopFiles) -> NoReturn:
    """Ask a group to stop; wait for its checkpoint, not for what is repeated anyway, nor for Ray's own end of it.

    Raises:
        Stopped: always.
    """
    files.ask()
    while files.is_training():
        try:
            error = ended.get(timeout=POLL_SECONDS)
        except queue.Empty:
            if (seconds_asked() or 0.0) < STOP_SECONDS:
                continue
            log.warning(f"{name} has not stopped in {STOP_SECONDS:.0f} s: it goes on from an earlier checkpoint")
        else:
            if error is not None:
                log.warning(f"{name} failed when it was to stop, and goes on from an earlier checkpoint: {error}")
        break
    raise Stopped


def _start_thread(name: str, call: Callable[[], None]) -> None:
    """A thread of this process, so that Ray's controllers live beside the driver; an interrupt does not wait for it."""
    threading.Thread(target=call, name=name, daemon=True).start()


def _error_of(call: Callable[[], None]) -> Exception | None:
    try:
        call()
    except Exception as error:  # of one group; told to the caller
        return error
    return None


class _Watch:
    """Notices that a cluster has lost what a group of workers needs."""

    def __init__(self, name: str, cluster: ClusterConfig, memory_bytes: float) -> None:
        self.name, self.cluster, self.memory_bytes = name, cluster, memory_bytes
        self.missing_since: float | None = None
        self.looked_at = time.monotonic()

    def look_regularly(self) -> None:
        """Look if the last time was some seconds ago: the cluster is asked."""
        if time.monotonic() - self.looked_at > WATCH_SECONDS:
            self.look()
            self.looked_at = time.monotonic()

    def look(self) -> None:
        try:
            check_resources(self.cluster, nodes_alive(), self.memory_bytes)
            self.missing_since = None
            return
        except UserError as error:
            missing = error
        now = time.monotonic()
        if self.missing_since is None:
            self.missing_since = now
            patience = f"waiting {self.cluster.lost_node_seconds:.0f} s for nodes"
            log.warning(f"{self.name} cannot be placed: {missing.given}. Allowed: {missing.allowed}; {patience}")
        if now - self.missing_since > self.cluster.lost_node_seconds:
            raise UserError(
                f"{self.name}: nodes were lost that {missing.given} need",
                missing.allowed,
                "bring the nodes back and submit the same command: it goes on from the last checkpoints",
            )
