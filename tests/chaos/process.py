"""A job in a process of its own, held at a moment while something happens to it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from multiprocessing.connection import Listener, wait
from pathlib import Path
from typing import Any

from repository import ROOT

from chaos.fault import BrokenError

INJECTED = Path(__file__).parent / "injected"
JOB_SECONDS = 400.0  # until a job hangs
GO_ON = ("go on",)
_running: set[Job] = set()
Doing = Callable[[int, int], tuple[Any, ...]]


@dataclass(frozen=True, kw_only=True)
class Moment:
    """A call of a function in a job at which the job waits.

    Args:
        module: where it is defined.
        function: its name, or Class.method.
        call: which one, from 1.
        after: when it has returned.
    """

    module: str
    function: str
    call: int = 1
    after: bool = False


@dataclass(frozen=True, kw_only=True)
class Answer:
    """How a job ended.

    Args:
        code: exit code; negative: a signal.
        document: its last line; empty: there is none.
        said: what stood on stderr.
        num_held: how many of its moments came.
    """

    code: int
    document: Mapping[str, Any] = field(repr=False)
    said: str = field(repr=False)
    num_held: int

    @property
    def last_words(self) -> str:
        """The end of what it said, for people."""
        return f"exit code {self.code}: " + " ".join(self.said.split())[-600:]


class Job:
    """A command that was started and not waited for.

    Args:
        words: of the command.
        moments: at which it waits.
        doing: what happens there: is given the number of the moment and the process that waits, says what that process
            shall do. A moment comes once: later processes go on.
        root: storage folder; a power cut concerns it.
        environment: variables beside those of this process.
        clock_seconds: what its wall clock is ahead.
        prefix: of the command, e.g. what gives it a disk of its own.
    """

    def __init__(
        self,
        words: Sequence[str],
        *,
        root: Path,
        moments: Sequence[Moment] = (),
        doing: Doing | None = None,
        environment: Mapping[str, str] | None = None,
        clock_seconds: float = 0.0,
        prefix: Sequence[str] = (),
    ) -> None:
        self.doing, self.held = doing or (lambda *_: GO_ON), set[int]()
        self.listener = Listener(family="AF_UNIX")
        injected = {
            "moments": [asdict(moment) for moment in moments],
            "socket": self.listener.address,
            "root": str(root),
            "clock_seconds": clock_seconds,
        }
        paths = [str(INJECTED), str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        surrounding = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(paths),
            "OMP_NUM_THREADS": "1",
            "CHAOS": json.dumps(injected),
            **(environment or {}),
        }
        self.files = contextlib.ExitStack()  # a pipe that is full would hold it up
        self.out, self.err = (self.files.enter_context(tempfile.TemporaryFile()) for _ in range(2))  # noqa: SIM115
        self.process = subprocess.Popen(
            [*prefix, sys.executable, *words],
            cwd=ROOT,
            env=surrounding,
            stdout=self.out,
            stderr=self.err,
            start_new_session=True,
        )
        _running.add(self)

    def end(self, seconds: float = JOB_SECONDS) -> Answer:
        """Wait for its end; whoever waits at the moment meanwhile is told what to do, later ones to go on.

        Raises:
            BrokenError: it hangs.
        """
        deadline = time.monotonic() + seconds
        ended = os.pidfd_open(self.process.pid)
        try:
            while self.process.poll() is None:
                asking = self.listener._listener._socket  # type: ignore[attr-defined]  # the one thing to wait on
                ready = wait([asking, ended], max(0.0, deadline - time.monotonic()))
                if not ready:
                    raise BrokenError(f"hangs for {seconds:.0f} s: {self._read(self.err)[-300:]}")
                if asking in ready:
                    self._answer()
        finally:
            os.close(ended)
            self.kill()
            self.listener.close()
        out, said = self._read(self.out), self._read(self.err)
        self.files.close()
        try:
            document = json.loads(out.strip().splitlines()[-1])
        except (ValueError, IndexError):
            document = {}
        return Answer(code=self.process.returncode, document=document, said=said, num_held=len(self.held))

    def kill(self) -> None:
        """End it and all that it has started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        _running.discard(self)

    def _answer(self) -> None:
        with self.listener.accept() as asking:
            number, process = asking.recv()
            told = GO_ON if number in self.held else self.doing(number, process)
            self.held.add(number)
            with contextlib.suppress(BrokenPipeError):  # it was killed meanwhile
                asking.send(told)

    @staticmethod
    def _read(file: Any) -> str:
        file.seek(0)
        return str(file.read().decode(errors="replace"))


def kill_all() -> None:
    """End every job that was started and has not ended."""
    for job in list(_running):
        job.kill()
