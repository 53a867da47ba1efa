"""Who is told of a decision: a program, an address, or both; a night never fails because nobody listens."""

from __future__ import annotations

import base64
import json
import logging
import subprocess
import urllib.request
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pipeline.config.address import joined, split
from pipeline.config.login import login_of
from pipeline.config.masking import masked
from pipeline.config.sections.retrain import RetrainConfig

SHOWN = 300  # characters of what went wrong

log = logging.getLogger(__name__)


def notify(config: RetrainConfig, message: Mapping[str, Any]) -> None:
    """Tell a decision as JSON; what goes wrong is a warning."""
    body = json.dumps(message, ensure_ascii=False).encode()
    if config.notify_command:
        try:
            done = subprocess.run(
                config.notify_command, input=body, capture_output=True, timeout=config.notify_seconds, check=False
            )
            if done.returncode:
                said = done.stderr.decode(errors="replace").strip()
                _warn("retrain.notify_command", f"it ended with code {done.returncode}: {said}")
        except (OSError, subprocess.SubprocessError, ValueError) as error:
            _warn("retrain.notify_command", str(error))
    if config.notify_url:
        try:
            urllib.request.urlopen(_request(config.notify_url, body), timeout=config.notify_seconds).close()
        except Exception as error:  # also what http.client says to an answer that is none
            _warn("retrain.notify_url", f"{type(error).__name__}: {error}")


def _request(given: str, body: bytes) -> urllib.request.Request:
    """A login goes into a header: addresses with one are not understood."""
    plain, login = split(given)
    login, headers = login or login_of(plain), {"Content-Type": "application/json"}
    if login is not None and login.user is not None:
        who = base64.b64encode(f"{login.user}:{login.password or ''}".encode()).decode()
        headers["Authorization"] = f"Basic {who}"
        login = replace(login, user=None, password=None)
    return urllib.request.Request(plain if login is None else joined(plain, login), body, headers)


def _warn(setting: str, reason: str) -> None:
    log.warning(f"nobody was told by {setting}: {masked(reason)[:SHOWN]}")
