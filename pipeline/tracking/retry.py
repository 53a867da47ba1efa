"""Calls to an MLflow that may be away: repeated for minutes, but not while the process is being stopped."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from pipeline.config.errors import UserError
from pipeline.config.masking import masked
from pipeline.storage.disk import disk_trouble, is_of_files

Answer = TypeVar("Answer")

RETRY_SECONDS = 600.0  # how long a server that is away is waited for
INTERRUPTS = (KeyboardInterrupt, SystemExit)  # a scheduler's `Stopped` is one of the latter; it kills 30 s later
INTERRUPT_SECONDS = 5.0
# What the client reports when a server is away or overloaded; other errors would be the same on every try.
PASSING_ERRORS = ("INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED")

PASSING_STATUS = (408, 425, 429)  # too late, too early, too often

log = logging.getLogger(__name__)


def with_retries(call: Callable[[], Answer], retry_seconds: float | None = None) -> Answer:
    """Repeat a call to MLflow until it succeeds or patience ends (none: after RETRY_SECONDS).

    Where an interrupt is being handled there is one try: it, and all others of the same interrupt, have a few seconds.

    Raises:
        MlflowException: the last error, if patience ends; at once, if another try would give the same.
        OSError: likewise; TimeoutError is one.
        UserError: the disk that a local store lies on takes no more.
    """
    from mlflow.exceptions import MlflowException

    if isinstance(interrupt := sys.exception(), INTERRUPTS):
        return _hastily(call, interrupt)
    retry_seconds = RETRY_SECONDS if retry_seconds is None else retry_seconds
    deadline, pause = time.monotonic() + retry_seconds, 1.0
    while True:
        try:
            return call()
        except (MlflowException, OSError) as error:
            if told := disk_trouble(error):
                raise told from error
            if _lasts(error) or time.monotonic() + pause > deadline:
                raise
            log.warning("MLflow does not answer (%s); trying again in %.0f s", reason_of(error), pause)
            time.sleep(pause)
            pause = min(2 * pause, 30.0)


def _lasts(error: Exception) -> bool:
    """Whether another try would give the same: the client's errors have codes, those of an artifact's way a status."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    is_refused = status is not None and 400 <= status < 500 and status not in PASSING_STATUS
    return getattr(error, "error_code", None) not in (None, *PASSING_ERRORS) or is_of_files(error) or is_refused


def _hastily(call: Callable[[], Answer], interrupt: BaseException) -> Answer:
    """One try of a call, in a thread that ends with the process: the client itself waits longer than we may."""
    answer: Future[Answer] = Future()

    def run() -> None:
        try:
            answer.set_result(call())
        except Exception as error:
            answer.set_exception(error)

    deadline = vars(interrupt).setdefault("tracking_deadline", time.monotonic() + INTERRUPT_SECONDS)
    threading.Thread(target=run, daemon=True).start()
    return answer.result(timeout=max(0.0, deadline - time.monotonic()))


def reason_of(error: Exception) -> str:
    """What went wrong, in one line; a timeout says nothing of itself."""
    text = error.given if isinstance(error, UserError) else str(error)
    return masked(" ".join(text.split()))[:200] or type(error).__name__
