"""Cases in worker processes: one that hangs, dies or wants too much costs one case, and its worker starts anew."""

from __future__ import annotations

import multiprocessing
import os
import re
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from repository import ROOT

from fuzz.case import Result, Subject
from fuzz.worker import Limits, work

FORK = multiprocessing.get_context("fork")  # what was imported and prepared is there at once
LATE = 1.5  # times the seconds that a case may take on a processor: nothing interrupts it, so it is ended
IDLE = 4  # times those seconds without any on a processor, however busy the machine is: it waits, so it is ended
CASES_OF_A_WORKER = 1000


def prepared(subject: Subject) -> Any:
    """What the cases of a subject start from, made in a process of its own: no threads are left in this one."""
    ours, theirs = FORK.Pipe()

    def prepare() -> None:
        with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
            theirs.send(subject.prepare(Path(folder)))

    process = FORK.Process(target=prepare)
    process.start()
    theirs.close()
    try:
        good = ours.recv()
    except EOFError:
        raise SystemExit(f"{subject.name}: nothing to start from; its error stands above") from None
    process.join()
    return good


def results(
    subject: Subject, good: Any, numbers: Sequence[int], *, seed: int, limits: Limits, num_processes: int
) -> Iterator[Result]:
    """What came of cases, as they end."""
    pending = iter(numbers)
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        workers: list[_Worker] = []
        try:
            for number in pending:
                workers.append(_Worker(subject, good, seed, limits, Path(folder)))
                workers[-1].ask(number)
                if len(workers) == num_processes:
                    break
            while workers:
                for worker in list(workers):
                    if (result := worker.answer()) is None:
                        continue
                    yield result
                    if (number := next(pending, None)) is None:
                        workers.remove(worker)
                        worker.end()
                    else:
                        worker.ask(number)
                wait([worker.ours for worker in workers], timeout=0.2)
        finally:
            for worker in workers:
                worker.end()


@dataclass
class _Worker:
    """A process that reads cases, or the next one in its place."""

    subject: Subject
    good: Any
    seed: int
    limits: Limits
    folder: Path
    number: int = -1
    num_cases: int = 0
    used_at_start: float = 0.0  # seconds on a processor
    used: float = 0.0
    idle_since: float = 0.0
    ours: Connection = field(init=False)

    def __post_init__(self) -> None:
        self._start()

    def _start(self) -> None:
        self.home = Path(tempfile.mkdtemp(dir=self.folder))
        self.ours, theirs = FORK.Pipe()
        arguments = (theirs, self.ours, self.subject, self.good, self.seed, self.limits, self.home)
        self.process = FORK.Process(target=work, args=arguments, daemon=True)
        self.process.start()
        theirs.close()
        self.num_cases = 0

    def ask(self, number: int) -> None:
        if self.num_cases == CASES_OF_A_WORKER:  # whatever libraries keep
            self.end()
            self._start()
        self.num_cases += 1
        self.number, self.idle_since = number, time.monotonic()
        self.used_at_start = self.used = _seconds_on_processor(self.process.pid)
        self.ours.send(number)

    def answer(self) -> Result | None:
        """What came of the case, if it has ended."""
        if self.ours.poll():
            try:
                result: Result = self.ours.recv()
            except EOFError:
                return self._lost()
            if "MemoryError" in result.kind or "memory" in result.kind:
                self.num_cases = CASES_OF_A_WORKER
            return result
        if not self.process.is_alive():
            return self._lost()
        return self._lost(is_late=True) if self._is_late() else None

    def _is_late(self) -> bool:
        now, used = time.monotonic(), _seconds_on_processor(self.process.pid)
        if used > self.used:
            self.used, self.idle_since = used, now
        seconds = self.limits.seconds
        return used - self.used_at_start > LATE * seconds + 1 or now - self.idle_since > IDLE * seconds

    def _lost(self, is_late: bool = False) -> Result:
        """The result of a case that its worker cannot tell; another worker takes its place."""
        if is_late and self.process.is_alive():
            os.kill(self.process.pid or 0, signal.SIGUSR1)  # it writes down where it is
            time.sleep(0.3)
            self.process.kill()
        self.process.join()
        code, stack = self.process.exitcode or 0, (self.home / "stack").read_text(errors="replace")
        change = (self.home / "change").read_text() if (self.home / "change").is_file() else "?"
        name = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        kind = f"hang in {_place(stack)}" if is_late else f"{name} in {_place(stack)}"
        self.end()
        self._start()
        return Result(
            subject=self.subject.name,
            number=self.number,
            outcome="hang" if is_late else "traceback",
            change=change,
            kind=kind,
            detail=stack[:4000],
        )

    def end(self) -> None:
        self.process.kill()
        self.process.join()
        self.ours.close()
        shutil.rmtree(self.home, ignore_errors=True)


def _seconds_on_processor(process: int | None) -> float:
    """What a process has taken so far, its threads included; nothing of one that has ended."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")


def _place(stack: str) -> str:
    """The line of the project's own code that a stack of `faulthandler` stands in."""
    lines = re.findall(r'File "(.*?)", line (\d+) in (\w+)', stack)
    own = [line for line in lines if (ROOT / "pipeline") in Path(line[0]).parents]
    for file, number, name in own[:1]:
        return f"{Path(file).relative_to(ROOT)}:{number} {name}"
    return "no Python of the pipeline"
