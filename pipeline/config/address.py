"""An address and the login in it: `scheme://user:password@host/path?token=...`, taken apart and put together."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field
from urllib.parse import quote, unquote

from pipeline.config.errors import UserError

TOKEN_CHARACTERS = 16
# Of a parameter; `monkey`, `design` and `author` are none.
SECRET_NAME = re.compile(
    r"pass|pwd|token|secret|credential|odbc_connect|(?:\b|_|api|access|account|shared|private|ssl)key(?![a-z])"
    r"|(?:\b|_)(?:sig|o?auth)(?:nature|orization)?(?:\b|_)",
    re.IGNORECASE,
)
_ADDRESS = re.compile(r"\s*([a-z][a-z0-9+.-]*://)(.*)", re.IGNORECASE | re.DOTALL)
_HOST = r"(\[[0-9a-f:.%]+\]|[^\s:@,\[\]/?#]+)(:\d*)?"
_HOSTS = re.compile(f"{_HOST}(,{_HOST})*", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Login:
    """What an address said of who comes; none of it is shown by `repr`.

    Args:
        user: as it is, nothing encoded.
        password: likewise.
        query: names and values of secret parameters, as they stood in the address.
    """

    user: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    query: tuple[tuple[str, str], ...] = field(default=(), repr=False)

    @property
    def secrets(self) -> tuple[str, ...]:
        """Every text of it that nobody may read; a long user without a password is a token."""
        user = self.user or ""
        hidden = [self.password or (user if len(user) >= TOKEN_CHARACTERS else "")]
        hidden += [text for _, value in self.query for text in (value, unquote(value))]
        if self.password:
            hidden.append(base64.b64encode(f"{user}:{self.password}".encode()).decode())  # as a header has it
        return tuple(text for text in hidden if text)


def is_server(address: str) -> bool:
    """Whether an address is that of an MLflow server, which is spoken to over http."""
    return address.lower().lstrip().startswith(("http://", "https://"))


def split(address: str) -> tuple[str, Login | None]:
    """An address without its login, and the login.

    Characters that should be encoded in a password may stand as they are, where it can still be told what they are.

    Raises:
        UserError: it cannot be told; the message does not repeat the address.
    """
    if (parts := _ADDRESS.fullmatch(address)) is None:
        return address, None
    scheme, rest = parts.groups()
    who, place = ("", rest) if rest.startswith("/") else _parted(rest)
    is_http = scheme.lower() in ("http://", "https://")
    place, query = _without_secrets(place, is_http=is_http)
    if not who and not query:
        return address, None
    user, colon, password = who.partition(":")
    login = Login(user=unquote(user) if who else None, password=unquote(password) if colon else None, query=query)
    return scheme + place, login


def _parted(rest: str) -> tuple[str, str]:
    """What stands before a host, and everything from the host on."""
    end = next((index for index, sign in enumerate(rest) if sign in "/?#"), len(rest))
    who, _, hosts = rest[:end].rpartition("@")
    if not _looks_like_more_login(rest[end:]):
        return who, hosts + rest[end:]
    if not _HOSTS.fullmatch(hosts):  # a port that is no number, or nothing: the password goes on behind it
        who, _, place = rest.rpartition("@")
        if _HOSTS.match(place):
            return who, place
    elif ":" not in rest[:end] and not who:
        return "", rest
    raise UserError(
        "a tracking address (it is not repeated here) in which login and path cannot be told apart",
        "a user and a password in which / ? # @ : % are written as %2F %3F %23 %40 %3A %25, and an @ of a path as %40",
        "encode it, or give the login in MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD",
    )


def _looks_like_more_login(later: str) -> bool:
    """Whether an @ stands behind what seems to be the host, other than in the value of a parameter."""
    path, _, parameters = later.partition("?")
    return "@" in path or "@" in parameters.partition("=")[0]


def _without_secrets(place: str, *, is_http: bool) -> tuple[str, tuple[tuple[str, str], ...]]:
    before, mark, rest = place.partition("?")
    if not mark:
        return place, ()
    parameters, hash_mark, fragment = rest.partition("#")
    kept, taken = [], []
    for parameter in parameters.split("&"):
        name, _, value = parameter.partition("=")
        is_secret = SECRET_NAME.search(unquote(name)) or (is_http and "user" in name.lower())
        taken.append((name, value)) if is_secret and value else kept.append(parameter)
    if not taken:
        return place, ()
    return before + ("?" + "&".join(kept) if kept else "") + hash_mark + fragment, tuple(taken)


def quoted(text: str) -> str:
    """Every sign that means something in an address as `%` and a number."""
    return quote(text, safe="")


def joined(plain: str, login: Login) -> str:
    """The whole address again; never to be shown."""
    scheme, _, place = plain.partition("://")
    who = ""
    if login.user is not None:
        password = "" if login.password is None else f":{quoted(login.password)}"
        who = f"{quoted(login.user)}{password}@"
    query = "&".join(f"{name}={value}" for name, value in login.query)
    before, hash_mark, fragment = place.partition("#")
    joint = ("&" if "?" in before else "?") if query else ""
    return f"{scheme}://{who}{before}{joint}{query}{hash_mark}{fragment}"
