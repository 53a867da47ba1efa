"""The driver of a job on Ray is a child of the process that was started, which has the last word if it is lost.

Ray's client ends its process at once, from C++, when the raylet beside it or the head is lost: no exception comes, so
nothing of ours could say what happened. A kernel that runs out of memory asks nobody either.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait

from pipeline.training.stop_request import Stopped, listen, note

FORWARDED = (signal.SIGTERM, signal.SIGINT)


class DriverLostError(Exception):
    """The driver's process has ended without a word of ours.

    Args:
        code: its exit code; negative: the signal that ended it.
    """

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code

    @property
    def is_killed(self) -> bool:
        """Whether a signal ended it, not Ray's client."""
        return self.code < 0

    def __str__(self) -> str:
        if self.is_killed:
            by = signal.Signals(-self.code).name
            out = "; the kernel does that where a machine is out of memory" if by == "SIGKILL" else ""
            return f"the job's process was ended by {by}{out}"
        return (
            f"the job's process ended with code {self.code} and without a word, as Ray's client ends it when Ray's "
            "processes on its node, or the head, are lost"
        )


def in_driver(call: Callable[[], int]) -> int:
    """Make a call in a child of this process, to which SIGTERM and Ctrl-C go on; it ends when this process does.

    To be called before there are threads.

    Args:
        call: returns an exit code.

    Returns:
        The code.

    Raises:
        DriverLostError: the child ended before the call did.
        Stopped, KeyboardInterrupt: the call was ended by one.
    """
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    with _held_back():
        driver = context.Process(target=_drive, args=(call, sender))
        driver.start()
        sender.close()
        assert driver.pid is not None
        earlier = [signal.signal(number, _forward_to(driver.pid)) for number in FORWARDED]
    try:
        driver.join()
    finally:
        for number, handler in zip(FORWARDED, earlier, strict=True):
            signal.signal(number, handler)
    answer = _word(receiver)
    if isinstance(answer, int):
        return answer
    raise DriverLostError(driver.exitcode or 0) if answer is None else answer()


def _drive(call: Callable[[], int], sender: Connection) -> None:
    """What the child does."""
    os.setpgid(0, 0)  # a terminal's Ctrl-C would come twice: from it, and from the parent
    listen()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, FORWARDED)
        sender.send(call())
    except (KeyboardInterrupt, Stopped) as interrupt:
        sender.send(type(interrupt))
    if "ray" in sys.modules:  # a child's exit handlers are not called, and Ray's stops the cluster that it has started
        import ray

        ray.shutdown()


def _word(receiver: Connection) -> int | type[KeyboardInterrupt | Stopped] | None:
    """What a driver that has ended has said: a code, or what interrupted it; none: nothing.

    It is not waited for: a process that the driver forked may outlive it and hold the pipe open.
    """
    try:
        return receiver.recv() if receiver.poll() else None
    except EOFError:
        return None


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os.kill(os.getpid(), signal.SIGKILL)


@contextmanager
def _held_back() -> Iterator[None]:
    """Signals wait until it is known who takes them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, FORWARDED)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _forward_to(pid: int) -> Callable[[int, object], None]:
    def forward(number: int, _: object) -> None:
        if number == signal.SIGTERM:
            note()
        with suppress(ProcessLookupError):
            os.kill(pid, number)

    return forward
