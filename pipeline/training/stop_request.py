"""A request to stop: on SIGTERM a job saves what it trains, leaves, and says by its exit code that it can go on.

Schedulers that want a machine back send SIGTERM, and kill half a minute later. Where nothing is trained the signal
interrupts the main thread at once, as Ctrl-C does: what it was doing is done again. Where something is trained it is
remembered, and the training loop looks at it between two optimiser steps, the only places from which it can go on bit
for bit. Further signals change nothing.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

EXIT_CODE = os.EX_TEMPFAIL  # 75: sysexits' "try again later"


class Stopped(SystemExit):
    """The job was asked to stop, and can be submitted again.

    It is no `Exception`: nobody may take it for a failure of what was going on.
    """

    def __init__(self) -> None:
        super().__init__(EXIT_CODE)

    def __str__(self) -> str:
        return "asked to stop by SIGTERM; submit the same command again and it goes on from what is saved"


@dataclass(kw_only=True)
class _Request:
    """What this process was asked; written by its main thread alone.

    Args:
        listener: id of the process that listens; 0: none.
        asked_at: when the signal came, by the monotonic clock in seconds; none: it did not.
        is_deferred: whether the main thread is where it must not be interrupted.
    """

    listener: int = 0
    asked_at: float | None = None
    is_deferred: bool = False


_request = _Request()


@contextmanager
def listening() -> Iterator[None]:
    """Take SIGTERM as a request to stop while the block runs.

    A process that was asked takes no notice of more signals until it ends.

    Raises:
        Stopped: at whatever place the signal came, or where `at_steps` ends.
    """
    if not _is_main_thread():  # signals are not its business
        yield
        return
    earlier = signal.getsignal(signal.SIGTERM)
    listen()
    try:
        yield
    finally:
        after = _take_no_notice if asked() else signal.SIG_DFL if earlier is None else earlier
        signal.signal(signal.SIGTERM, after)
        _request.listener, _request.asked_at, _request.is_deferred = 0, None, False


def listen() -> None:
    """Take SIGTERM as a request to stop, whoever takes it now."""
    _request.listener = os.getpid()
    signal.signal(signal.SIGTERM, _on_signal)


def listen_again() -> None:
    """Take the signal back from a library that has taken it from `listening`; without that nothing changes."""
    if _is_main_thread() and _request.listener == os.getpid():
        listen()


def note() -> None:
    """This process was asked to stop, and another one obeys: what it does until it ends is not disturbed."""
    _request.asked_at = time.monotonic()


def seconds_asked() -> float | None:
    """How long ago this process was asked to stop; none if it was not."""
    return None if _request.asked_at is None else time.monotonic() - _request.asked_at


def asked() -> bool:
    """Whether this process was asked to stop."""
    return _request.asked_at is not None


def raise_if_asked() -> None:
    """End what is going on if this process was asked to stop.

    Raises:
        Stopped: it was.
    """
    if asked():
        raise Stopped


@contextmanager
def at_steps() -> Iterator[None]:
    """A block that no request interrupts: who is inside looks at `asked`, and its end raises what was not noticed.

    Raises:
        Stopped: the process was asked meanwhile, and the block came to its end.
    """
    with _deferred(True):
        yield
    raise_if_asked()


@contextmanager
def at_once() -> Iterator[None]:
    """A block inside `at_steps` that a request may interrupt at any place.

    Raises:
        Stopped: the process was asked before or meanwhile.
    """
    with _deferred(False):
        raise_if_asked()
        yield


@contextmanager
def _deferred(is_deferred: bool) -> Iterator[None]:
    """Only the main thread is interrupted by signals; others, such as a worker's on Ray, change nothing."""
    if not _is_main_thread():
        yield
        return
    before, _request.is_deferred = _request.is_deferred, is_deferred
    try:
        yield
    finally:
        _request.is_deferred = before


def _is_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def _on_signal(number: int, _: FrameType | None) -> None:
    if os.getpid() != _request.listener:  # a process that was forked from a job is none
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
        return
    if asked():  # it is leaving already; what it writes on the way must not be interrupted
        return
    _request.asked_at = time.monotonic()
    if not _request.is_deferred:
        raise Stopped


def _take_no_notice(number: int, _: FrameType | None) -> None:
    """It is known; a function, because programs that are started would inherit that a signal is ignored."""
