"""Whose seconds a cohort's steps are: those of its teacher, those of every learner."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch

Timed = Callable[[str], AbstractContextManager[None]]
TEACHER = "teacher"  # whose pass is made once for all learners that need it


def untimed(_: str) -> AbstractContextManager[None]:
    """Nobody looks at the clock."""
    return nullcontext()


class Stopwatch:
    """Seconds by name; on a GPU each share waits for the device, so that nothing counts for whoever comes next.

    Args:
        device: where the work is done.
    """

    def __init__(self, device: torch.device) -> None:
        self.device, self.seconds = device, dict[str, float]()

    @contextmanager
    def of(self, name: str) -> Iterator[None]:
        """What is done inside counts for that name."""
        self._wait()
        start = time.monotonic()
        yield
        self._wait()
        self.seconds[name] = self.seconds.get(name, 0.0) + time.monotonic() - start

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
