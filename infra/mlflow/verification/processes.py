"""Processes as an unprivileged user: where this is root, as the one that the manifests name."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from chaos.fault import BrokenError

UID = 10001  # `runAsUser` of the manifests
NOBODY = 65534  # initdb wants a user that /etc/passwd knows; the image makes one up for it
SECONDS = 240.0  # until something that was started hangs


def as_user(uid: int) -> dict[str, Any]:
    """Options of `subprocess`: root becomes another user, everybody else stays who they are."""
    return {"user": uid, "group": uid, "extra_groups": []} if os.geteuid() == 0 else {}


def give(folder: Path, uid: int = UID) -> None:
    """A folder to the pods' user, or another, with all that lies in it."""
    if os.geteuid() == 0:
        for path in (folder, *folder.rglob("*")):
            os.chown(path, uid, uid, follow_symlinks=False)


def run(
    command: Sequence[str],
    environment: Mapping[str, str],
    folder: Path,
    *,
    said: str = "",
    uid: int = UID,
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, and return it with what it said, whatever its exit code.

    Raises:
        BrokenError: it hangs.
    """
    try:
        return subprocess.run(
            command,
            env=environment,
            cwd=folder,
            input=said,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            **as_user(uid),
        )
    except subprocess.TimeoutExpired:
        raise BrokenError(f"{command[0]} hangs for {SECONDS:.0f} s") from None


def done(answer: subprocess.CompletedProcess[str], what: str) -> str:
    """What a command printed that had to succeed.

    Raises:
        BrokenError: it did not.
    """
    if answer.returncode:
        raise BrokenError(f"{what}: exit code {answer.returncode}: {(answer.stdout + answer.stderr)[-800:]}")
    return answer.stdout


class Service:
    """A process that answers until it is stopped.

    Args:
        command: of it.
        environment: all of it.
        log: where it writes.
        uid: of the user that it runs as, where this is root.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], log: Path, uid: int = UID) -> None:
        self.command, self.environment, self.log, self.uid = command, environment, log, uid
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, answers: Callable[[], bool]) -> float:
        """Start it, wait until it answers, and return how many seconds that took.

        Raises:
            BrokenError: it ended, or does not answer.
        """
        began = time.monotonic()
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                env=self.environment,
                cwd=self.log.parent,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                **as_user(self.uid),
            )
        while not answers():
            if self.process.poll() is not None or time.monotonic() > began + SECONDS:
                raise BrokenError(f"{self.command[0]} does not answer: {self.log.read_text()[-1500:]}")
            time.sleep(0.2)
        return time.monotonic() - began

    def stop(self, sign: int = signal.SIGTERM) -> None:
        """End it and all that it has started."""
        if self.process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            if sign != signal.SIGKILL:
                self.process.send_signal(sign)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self.process.wait(60)
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.process = None


def free_port() -> int:
    """A port of loopback that nobody has."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def asked(request: urllib.request.Request | str, seconds: float = 30.0) -> tuple[int, bytes]:
    """(status, body) of an HTTP request, past any proxy; 0: nobody is there."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(request, timeout=seconds) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()
    except OSError:
        return 0, b""
