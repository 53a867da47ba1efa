"""Texts for people and for storage without what nobody may read: the last guard, where a secret came that far.

Secrets leave addresses where those enter (`login.py`). Errors and messages of libraries, and arguments as they were
given, go through here before they are printed or saved.
"""

from __future__ import annotations

import os
import re
from typing import Any
from urllib.parse import quote, quote_plus

from pipeline.config.address import SECRET_NAME
from pipeline.config.errors import UserError, together
from pipeline.config.login import known_secrets

MASK = "***"
SECRET_VARIABLE = re.compile(r"(PASSWORD|PASSWD|TOKEN|SECRET|SECRET_KEY|ACCESS_KEY|API_KEY|CONNECTION_STRING)$")
# A shorter one, or one that is a word, stands in too many other places; addresses do without it anyway.
_UNLIKE_WORDS = re.compile(r"(?!\w+$).{6,}|(?=\D*\d).{6,}|.{12,}", re.DOTALL)
# What stands before an @ in a hub's address is no login, but a name with its revision.
_LOGIN = re.compile(
    r"(?<![\w+.-])(?!hf:)([a-z][a-z0-9+.-]*(?::|%3A)(?://(?!/)|%2F%2F(?!%2F)))\S*(?:@|%40)", re.IGNORECASE
)
_PARAMETER = re.compile(rf"([?&;][\w.-]*(?:{SECRET_NAME.pattern})[\w.-]*=)[^&;\s]+", re.IGNORECASE)


def masked(text: str) -> str:
    """A text with `***` in place of logins of addresses, secret parameters of them, and secrets that are known."""
    return _masked(text, _forms())


def _masked(text: str, secrets: list[str]) -> str:
    for secret in secrets:
        text = text.replace(secret, MASK)
    return _PARAMETER.sub(rf"\1{MASK}", _LOGIN.sub(rf"\1{MASK}@", text))


def masked_values(value: Any) -> Any:
    """Plain data, all its texts but for names of entries masked."""
    secrets = _forms()

    def inner(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: inner(one) for name, one in value.items()}
        if isinstance(value, (list, tuple)):
            return [inner(one) for one in value]
        return _masked(value, secrets) if isinstance(value, str) else value

    return inner(value)


def masked_error(error: UserError) -> UserError:
    """A mistake whose parts are masked, before any of them is cut or wrapped: half a secret is no known one."""
    return together([UserError(*map(masked, (one.given, one.allowed, one.change))) for one in error.errors])


def is_secret_variable(name: str) -> bool:
    """Whether a variable of the environment holds, by its name, what nobody may read."""
    return SECRET_VARIABLE.search(name) is not None


def _forms() -> list[str]:
    """Secrets as they are, and as libraries write them into addresses and messages; the longest first."""
    secrets = known_secrets() | {value for name, value in os.environ.items() if is_secret_variable(name)}
    secrets = {one for one in secrets if _UNLIKE_WORDS.fullmatch(one)}
    forms = {
        form for one in secrets for form in (one, quote(one), quote(one, safe=""), quote_plus(one), repr(one)[1:-1])
    }
    return sorted(forms, key=len, reverse=True)
