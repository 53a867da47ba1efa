"""Logins in a file that only its owner can read, for jobs that are started elsewhere: its path may be shown.

A line per variable, as an environment holds them: MLFLOW_TRACKING_USERNAME, MLFLOW_TRACKING_PASSWORD,
MLFLOW_TRACKING_TOKEN, and MLFLOW_TRACKING_URI for addresses with a login, several of them if need be.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from pipeline.config.address import is_server
from pipeline.config.errors import UserError
from pipeline.config.login import ADDRESS_VARIABLE, LOGIN_VARIABLES, take_login

FILE_VARIABLE = "DQ_LOGIN_FILE"
NAMES = (*LOGIN_VARIABLES, ADDRESS_VARIABLE)


def take_environment() -> None:
    """Logins that this process was given: those of the file that DQ_LOGIN_FILE names, and that of the address.

    Afterwards the address in the environment has none, so that no library prints it; that of a database keeps it,
    which nothing else would know there.

    Raises:
        UserError: an unreadable file, one that others can read, a line that is none, an address that cannot be read.
    """
    path = os.environ.get(FILE_VARIABLE)
    for name, value in login_lines(Path(path)) if path else ():
        if name == ADDRESS_VARIABLE:
            take_login(value)
        else:
            os.environ[name] = value
    address = os.environ.get(ADDRESS_VARIABLE, "")
    if is_server(address):
        os.environ[ADDRESS_VARIABLE] = take_login(address)


def login_lines(path: Path) -> list[tuple[str, str]]:
    """Names and values of a file.

    Raises:
        UserError: an unreadable file, one that others can read, or a line that is none.
    """
    try:
        status, text = path.stat(), path.read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "no text in UTF-8"
        raise _refused(path, str(reason)) from None
    if not _is_private(status):
        raise UserError(f"{FILE_VARIABLE}={path}: others can read it", "a file of mode 600", f"chmod 600 {path}")
    lines = []
    for number, line in enumerate(text.splitlines(), 1):
        name, separator, value = line.partition("=")
        if not line.strip() or line.startswith("#"):
            continue
        if not separator or name not in NAMES:  # the line is not repeated: it may be a password
            raise _refused(path, f"line {number} is none of its")
        lines.append((name, value))
    return lines


def write_login_file(path: Path, lines: Sequence[tuple[str, str]]) -> None:
    """A new file of names and values.

    Raises:
        OSError: it is there already, or there is no place for it.
        UserError: a value of several lines.
    """
    if odd := [name for name, value in lines if len(value.splitlines()) > 1]:
        raise UserError(f"{odd[0]} of several lines", "one line", f"set {odd[0]} again")
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.writelines(f"{name}={value}\n" for name, value in lines)


def _is_private(status: os.stat_result) -> bool:
    """Whether nobody else can read a file; a Secret that Kubernetes mounts is root's, and our group may read it."""
    is_lent = status.st_uid == 0 != os.geteuid() and status.st_gid in {os.getegid(), *os.getgroups()}
    return not status.st_mode & (0o037 if is_lent else 0o077)


def _refused(path: Path, reason: str) -> UserError:
    names = ", ".join(NAMES)
    return UserError(f"{FILE_VARIABLE}={path}: {reason}", f"lines NAME=value with {names}", "write it again")
