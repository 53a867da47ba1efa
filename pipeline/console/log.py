"""What `pipeline`'s modules log, as lines on stderr, for the processes that belong to a job.

Modules log to `logging.getLogger(__name__)` and configure nothing. A job, its workers, a server and the runtime's
command call `log_to_stderr` once. Programs that import parts of this package decide for themselves what becomes of its
messages, with the logger `pipeline`; until they do, nothing is written.
"""

from __future__ import annotations

import logging
import os
import sys

from pipeline.config.errors import UserError
from pipeline.config.masking import masked

LOG_LEVEL = "DQ_LOG_LEVEL"
LEVELS = {"DEBUG": logging.DEBUG, "INFO": logging.INFO, "WARNING": logging.WARNING, "ERROR": logging.ERROR}
WITH_ORIGIN = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class ConsoleFormatter(logging.Formatter):
    """A message as it stands; worse ones say their level first: `warning: ...`."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, or the lines."""
        text = super().format(record)
        return text if record.levelno < logging.WARNING else f"{record.levelname.lower()}: {text}"


class MaskedFormatter(logging.Formatter):
    """What another formatter makes of a message, without logins and secrets."""

    def __init__(self, inner: logging.Formatter) -> None:
        super().__init__()
        self.inner = inner

    def format(self, record: logging.LogRecord) -> str:
        """The line, or the lines, a traceback among them."""
        return masked(self.inner.format(record))


def mask_messages(handler: logging.Handler) -> None:
    """Let a handler, ours or a library's, write no logins and secrets."""
    if not isinstance(handler.formatter, MaskedFormatter):
        handler.setFormatter(MaskedFormatter(handler.formatter or logging.Formatter()))


class ConsoleHandler(logging.Handler):
    """Writes to what is `sys.stderr` at that time, which others may exchange."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one message."""
        try:
            print(self.format(record), file=sys.stderr, flush=True)
        except Exception:
            self.handleError(record)


def log_to_stderr() -> None:
    """Write what `pipeline`'s modules log to stderr from now on, from the level DQ_LOG_LEVEL (INFO) upwards.

    At DEBUG every message begins with time, level and module. A second call follows a changed variable. The root logger
    stays as it is.

    Raises:
        UserError: there is no such level.
    """
    given = os.environ.get(LOG_LEVEL) or "INFO"
    if (level := LEVELS.get(given.upper())) is None:
        raise UserError(f"{LOG_LEVEL}={given}", ", ".join(LEVELS), f"set or unset the environment variable {LOG_LEVEL}")
    handler = ConsoleHandler()
    handler.setFormatter(logging.Formatter(WITH_ORIGIN) if level == logging.DEBUG else ConsoleFormatter())
    mask_messages(handler)
    logger = logging.getLogger("pipeline")
    for former in [one for one in logger.handlers if isinstance(one, ConsoleHandler)]:
        logger.removeHandler(former)
    logger.addHandler(handler)
    logger.setLevel(level)
    logger.propagate = False  # a library that gives the root logger a handler would show every message twice


def log_environment() -> dict[str, str]:
    """The variable for processes that are started elsewhere, if it is set here."""
    return {LOG_LEVEL: os.environ[LOG_LEVEL]} if LOG_LEVEL in os.environ else {}
