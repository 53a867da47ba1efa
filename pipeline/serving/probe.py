"""Whether a registered version can be served: by `mlflow models serve`, as whoever deploys it would.

The server is a process of its own that knows neither this project's folder nor this process's environment. Its packages
are those of this process, or those that the version itself names, in a virtual environment that MLflow makes.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pipeline.config.address import is_server, split
from pipeline.config.errors import UserError
from pipeline.config.login import ADDRESS_VARIABLE, login_environment, with_login
from pipeline.config.masking import masked

KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "LD_LIBRARY_PATH")
# What whoever serves the model needs, too, to come to MLflow's server and to where it keeps files.
OF_STORES = re.compile(r"(AWS|GOOGLE|AZURE|MLFLOW)_\w+|(https?|no|all)_proxy", re.IGNORECASE)
# What pip and pyenv are told, as of a mirror, where they make an environment.
OF_INSTALLERS = re.compile(r"(PIP|PYENV)_\w+")
PROCESS, VIRTUALENV = "process", "virtualenv"
ENV_MANAGERS = {PROCESS: "local", VIRTUALENV: "virtualenv"}  # as MLflow calls them
TOOLS = (
    "pyenv",
    "bash",
)  # MLflow 3 installs a version's Python with the one, and activates the environment in the other
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # it is this machine that is asked
POLL_SECONDS = 0.25
SHOWN = 600  # characters of what a server that failed has said last


@dataclass(frozen=True, kw_only=True)
class Golden:
    """What must be answered.

    Args:
        rows: inputs as the model's signature wants them.
        answers: what its package says to each.
    """

    rows: Sequence[dict[str, Any]]
    answers: Sequence[str]


def check_environment(environment: str) -> None:
    """Refuse an environment that MLflow could not make here.

    Args:
        environment: `process` or `virtualenv`.

    Raises:
        UserError: a program is not on the path that the server will have.
    """
    missing = [tool for tool in TOOLS if shutil.which(tool, path=_path()) is None]
    if environment == VIRTUALENV and missing:
        raise UserError(
            f"retrain.probe_environment={VIRTUALENV} without {' and '.join(missing)} on the path",
            f"{' and '.join(TOOLS)}, with which MLflow installs Python and makes a virtual environment",
            f"install {' and '.join(missing)}, or set retrain.probe_environment={PROCESS}",
        )


def probe(
    name: str, version: str, golden: Golden, tracking_uri: str, seconds: float, environment: str = PROCESS
) -> str | None:
    """Serve a version and ask it.

    Args:
        name: of the registered model.
        version: of it.
        golden: inputs and the answers that are expected, all of them to the letter.
        tracking_uri: of the store, with or without its login.
        seconds: for everything.
        environment: `process`: packages are those of this process; `virtualenv`: those that the version names.

    Returns:
        why it failed, in a sentence; none: every answer is as expected.
    """
    deadline = time.monotonic() + seconds
    with (
        TemporaryDirectory() as folder,
        _served(name, version, tracking_uri, Path(folder), environment) as (process, address, log),
    ):
        while not _is_up(f"{address}/health"):
            if process.poll() is not None:
                return f"the server ended with code {process.returncode}: {_said(log)}"
            if time.monotonic() > deadline:
                return f"the server did not start in {seconds:.0f} s: {_said(log)}"
            time.sleep(POLL_SECONDS)
        try:
            answers = _asked(f"{address}/invocations", golden.rows, max(1.0, deadline - time.monotonic()))
        except (OSError, ValueError, KeyError, HTTPException) as error:
            return f"the server did not answer: {masked(f'{type(error).__name__}: {error}')[:SHOWN]}"
    different = sum(said != expected for said, expected in zip(answers, golden.answers, strict=False))
    if different or len(answers) != len(golden.answers):
        return f"{max(different, abs(len(answers) - len(golden.answers)))} of {len(golden.answers)} answers differ"
    return None


@contextlib.contextmanager
def _served(
    name: str, version: str, tracking_uri: str, folder: Path, packages: str
) -> Iterator[tuple[subprocess.Popen[bytes], str, Path]]:
    """The server's process, its address and the file of what it says; all its processes end with the block."""
    port, log = _free_port(), folder / "log"
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", f"models:/{name}/{version}"]
    command += ["--env-manager", ENV_MANAGERS[packages], "--host", "127.0.0.1", "--port", str(port)]
    environment = {name: value for name, value in os.environ.items() if name in KEPT or OF_STORES.fullmatch(name)}
    if packages == VIRTUALENV:
        environment |= {name: value for name, value in os.environ.items() if OF_INSTALLERS.fullmatch(name)}
    environment["PATH"] = _path()
    # A server's login travels in variables of its own; a database takes it in no other way.
    plain = split(tracking_uri)[0] if is_server(tracking_uri) else _absolute(with_login(tracking_uri))
    environment |= {ADDRESS_VARIABLE: plain, **login_environment(tracking_uri)}
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            yield process, f"http://127.0.0.1:{port}", log
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _path() -> str:
    """Where the server looks for programs: beside this Python first."""
    return f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"


def _absolute(address: str) -> str:
    """A database in a file, from wherever it is opened."""
    scheme, separator, path = address.partition(":///")
    is_relative = bool(separator) and scheme.startswith("sqlite") and path and not path.startswith("/")
    return f"{scheme}:///{Path(path).absolute()}" if is_relative else address


def _free_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return int(bound.getsockname()[1])


def _is_up(address: str) -> bool:
    try:
        OPENER.open(address, timeout=5).close()
    except OSError:
        return False
    return True


def _asked(address: str, rows: Sequence[dict[str, Any]], seconds: float) -> list[str]:
    body = json.dumps({"dataframe_records": list(rows)}).encode()
    request = urllib.request.Request(address, body, {"Content-Type": "application/json"})
    with OPENER.open(request, timeout=seconds) as answer:
        said = json.loads(answer.read())["predictions"]
    return [str(one["prediction"] if isinstance(one, dict) and "prediction" in one else one) for one in said]


def _said(log: Path) -> str:
    return masked(" ".join(log.read_text(encoding="utf-8", errors="replace").split())[-SHOWN:]) or "nothing"
