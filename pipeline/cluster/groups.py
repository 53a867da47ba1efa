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

from pipeline.cluster.room import check_resources, nodes_alive
from pipeline.config.errors import UserError
from pipeline.config.sections.cluster import ClusterConfig

WATCH_SECONDS = 5.0

log = logging.getLogger(__name__)


def run_side_by_side(
    calls: Mapping[str, Callable[[], None]], cluster: ClusterConfig, on_end: Callable[[str, Exception | None], None]
) -> None:
    """Make calls that each run a group of workers: together on Ray, one after the other in this process alone.

    Args:
        calls: name -> call of `run_workers`.
        cluster: a group of workers.
        on_end: told which call ended, with its error if it has one; the others go on.
    """
    if cluster.launcher == "process":
        for name, call in calls.items():
            on_end(name, _error_of(call))
        return
    ended: queue.Queue[tuple[str, Exception | None]] = queue.Queue()

    def run(name: str) -> None:
        ended.put((name, _error_of(calls[name])))

    for name in calls:
        _start_thread(name, partial(run, name))
    for _ in calls:
        on_end(*ended.get())


def run_watched(call: Callable[[], None], name: str, cluster: ClusterConfig, memory_bytes: float) -> None:
    """Wait for a call that runs a group of workers on Ray, unless nodes are lost that it cannot be without.

    Args:
        call: the call; its errors are raised here.
        name: of the group, for people.
        cluster: the group.
        memory_bytes: what each of its workers reserves.

    Raises:
        UserError: nodes were lost and not replaced in time.
    """
    ended: queue.Queue[Exception | None] = queue.Queue()
    _start_thread(name, lambda: ended.put(_error_of(call)))
    watch = _Watch(name, cluster, memory_bytes)
    while True:
        try:
            error = ended.get(timeout=WATCH_SECONDS)
        except queue.Empty:
            watch.look()
            continue
        if error is not None:
            raise error
        return


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
