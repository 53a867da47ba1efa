"""A process that reads cases: quiet, and bounded in time, memory and files."""

from __future__ import annotations

import faulthandler
import logging
import os
import resource
import shutil
import signal
import sys
import tempfile
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from fuzz.case import Result, Subject, TimeIsOverError, judged, rng_of

LARGEST_FILE = 16 << 20


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a case may take.

    Args:
        seconds: of processor time.
        memory_bytes: of address space beside what a worker has at its start.
    """

    seconds: float = 10.0
    memory_bytes: int = 3 << 30


def work(
    theirs: Connection, ours: Connection, subject: Subject, good: Any, seed: int, limits: Limits, home: Path
) -> None:
    """Numbers of cases in, results out."""
    ours.close()
    be_quiet(home)
    with (home / "stack").open("w") as stack:
        faulthandler.enable(stack)
        faulthandler.register(signal.SIGUSR1, stack)
        be_limited(limits)
        parent = os.getppid()
        while True:
            while not theirs.poll(1.0):
                if os.getppid() != parent:  # it was killed
                    return
            number = theirs.recv()
            theirs.send(run_case(subject, good, number, seed=seed, limits=limits, home=home))


def run_case(subject: Subject, good: Any, number: int, *, seed: int, limits: Limits, home: Path) -> Result:
    """Draw a case and read it, in a folder that goes afterwards."""
    folder = home / "case"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    os.chdir(folder)
    try:
        case = subject.case(good, rng_of(subject.name, seed, number), folder)
    except Exception as error:  # told, or it would look as if something had died
        kind = f"the fuzz itself: {type(error).__name__}: {error}"
        return Result(subject=subject.name, number=number, outcome="traceback", change="?", kind=kind)
    (home / "change").write_text(case.change, errors="backslashreplace")
    signal.setitimer(signal.ITIMER_PROF, limits.seconds, 1.0)
    try:
        return judged(subject, number, case)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        os.chdir(home)
        shutil.rmtree(folder, ignore_errors=True)


def be_quiet(home: Path) -> None:
    """Nothing that is read prints, asks or leaves files elsewhere."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nowhere, number)
    sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: PTH123, SIM115
    logging.getLogger().handlers = [logging.NullHandler()]
    temporary = home / "tmp"
    temporary.mkdir()
    tempfile.tempdir = str(temporary)


def be_limited(limits: Limits) -> None:
    """From here on memory, files and the time of a case are bounded."""

    def time_is_over(signum: int, frame: Any) -> None:
        raise TimeIsOverError

    signal.signal(signal.SIGPROF, time_is_over)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + limits.memory_bytes
    resource.setrlimit(resource.RLIMIT_AS, (most, resource.RLIM_INFINITY))
    resource.setrlimit(resource.RLIMIT_FSIZE, (LARGEST_FILE, resource.RLIM_INFINITY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
