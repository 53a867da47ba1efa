"""The login of a tracking address: taken off where the address enters, kept in the memory of this process alone.

What is printed, saved, hashed or sent on knows the address without it. Who opens a store asks for it here; workers in
processes of their own are handed it (`hand_over`), so that it is in no environment that Ray shows, and in no file.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote

from pipeline.config.address import Login, is_server, joined, split
from pipeline.config.errors import UserError

ADDRESS_VARIABLE = "MLFLOW_TRACKING_URI"
USER_VARIABLE, PASSWORD_VARIABLE = "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"
TOKEN_VARIABLE = "MLFLOW_TRACKING_TOKEN"
LOGIN_VARIABLES = (USER_VARIABLE, PASSWORD_VARIABLE, TOKEN_VARIABLE)
_HTTP_QUERY = {"user": USER_VARIABLE, "pass": PASSWORD_VARIABLE, "pwd": PASSWORD_VARIABLE}


@dataclass(frozen=True, kw_only=True)
class HandedOver:
    """Logins on their way to a worker.

    Args:
        logins: by address without login.
        environment: the variables of `LOGIN_VARIABLES` that are set.
    """

    logins: Mapping[str, Login] = field(default_factory=dict, repr=False)
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)


_known: dict[str, Login] = {}


def take_login(address: str) -> str:
    """An address without its login, which is remembered.

    Raises:
        UserError: it cannot be told where the login ends, or a server is told a user alone, which it would not be.
    """
    plain, login = split(address)
    if login is not None:
        _check_usable(plain, login)
        _known[plain] = login
    return plain


def _check_usable(plain: str, login: Login) -> None:
    """MLflow's client sends user and password, or a token; of a user alone it sends nothing."""
    alone = login.user and not login.password and not login.query
    if is_server(plain) and alone and not any(os.environ.get(name) for name in (PASSWORD_VARIABLE, TOKEN_VARIABLE)):
        raise UserError(
            f"{plain.replace('://', '://***@', 1)} with a user and no password",
            f"user:password@, or {PASSWORD_VARIABLE} or {TOKEN_VARIABLE} in the environment",
            f"give the password; a token that stood for the user belongs into {TOKEN_VARIABLE}",
        )


def login_of(address: str) -> Login | None:
    """What is known of who comes to an address, given with or without its login."""
    plain, login = split(address)
    return login or _known.get(plain)


def with_login(address: str) -> str:
    """The whole address, for stores that take a login in no other way; never to be shown."""
    plain, _ = split(address)
    return plain if (login := login_of(address)) is None else joined(plain, login)


def shown(address: str) -> str:
    """An address for people: `***` stands where its login was."""
    try:
        plain, _ = split(address)
    except UserError:
        return re.sub(r"://.*@", "://***@", address, flags=re.DOTALL)
    return plain if login_of(address) is None else plain.replace("://", "://***@", 1)


def has_login(address: str) -> bool:
    """Whether an address itself holds a login, or something that might be one."""
    try:
        return split(address)[1] is not None
    except UserError:
        return True


def login_environment(address: str) -> dict[str, str]:
    """The variables by which MLflow's client learns the login of a server; none for a database."""
    login = login_of(address)
    if login is None or not is_server(address):
        return {}
    values = {USER_VARIABLE: login.user, PASSWORD_VARIABLE: login.password}
    for name, value in login.query:
        variable = next((one for part, one in _HTTP_QUERY.items() if part in name.lower()), TOKEN_VARIABLE)
        values[variable] = unquote(value)
    return {name: value for name, value in values.items() if value}


def hand_over() -> HandedOver:
    """Everything that a worker on another machine needs to come to the same stores."""
    environment = {name: os.environ[name] for name in LOGIN_VARIABLES if os.environ.get(name)}
    return HandedOver(logins=dict(_known), environment=environment)


def receive(handed: HandedOver) -> None:
    """Take logins in a worker."""
    _known.update(handed.logins)
    os.environ.update(handed.environment)


def known_secrets() -> set[str]:
    """All texts of the logins that came with addresses, and of the environment's."""
    own = Login(user=os.environ.get(USER_VARIABLE), password=os.environ.get(PASSWORD_VARIABLE))
    return {text for login in (own, *_known.values()) for text in login.secrets}
