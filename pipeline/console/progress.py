"""Progress on the console: a live bar on a terminal, a plain line every few seconds in a log."""

from __future__ import annotations

import logging
import sys
import time

from tqdm import tqdm

SECONDS_BETWEEN_LINES = 5.0

log = logging.getLogger(__name__)


class ProgressBar:
    """Progress of one stage: a bar on stderr where that is a terminal, else lines of the level INFO.

    Args:
        stage: what is going on.
        total: number of steps.
        done: steps done before (a resumed run).
        shown: false on ranks that stay silent.
    """

    def __init__(self, stage: str, total: int, *, done: int = 0, shown: bool = True) -> None:
        self.stage, self.total, self.done, self.shown = stage, total, done, shown
        self.start, self.first, self.last_line = time.monotonic(), done, 0.0
        live = shown and sys.stderr.isatty() and log.isEnabledFor(logging.INFO)
        self.bar = tqdm(desc=stage, total=total, initial=done, file=sys.stderr) if live else None

    def update(self, done: int, note: str = "", total: int | None = None) -> None:
        """So many steps are done; `note` is shown behind them; `total` where it was not known before."""
        previous, self.done = self.done, done
        self.total = self.total if total is None else total
        if self.bar is not None:
            self.bar.total = self.total
            self.bar.set_postfix_str(note, refresh=False)
            self.bar.update(done - previous)
        elif self.shown and (done >= self.total or time.monotonic() - self.last_line > SECONDS_BETWEEN_LINES):
            self.last_line = time.monotonic()
            log.info(f"{self.stage}: {done}/{self.total} {self._remaining()} {note}".rstrip())

    def close(self) -> None:
        """The stage is over."""
        if self.bar is not None:
            self.bar.close()

    def _remaining(self) -> str:
        gained = self.done - self.first
        if gained <= 0 or self.done >= self.total:
            return f"in {time.monotonic() - self.start:.0f} s"
        seconds = (time.monotonic() - self.start) / gained * (self.total - self.done)
        return f"about {seconds:.0f} s left"
