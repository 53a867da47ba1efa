"""Variables of the environment in a configuration: `${oc.env:NAME,default}`.

A configuration is printed, saved with every run and made into names and folders. So only variables that hold no secrets
by their names can be read into it. An address may hold any: its login is taken off before anything else sees it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, cast

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from omegaconf.resolvers import oc

from pipeline.config.errors import Mistakes, UserError
from pipeline.config.login import take_login
from pipeline.config.masking import is_secret_variable

PREFIX = "DQ_"
PUBLIC = ("HF_HOME", "HOME", "HOSTNAME", "LOGNAME", "PWD", "SCRATCH", "SLURM_JOB_ID", "TMPDIR", "USER")
_in_address = ContextVar("_in_address", default=False)


def take_logins(merged: Any, keys: Collection[str], mistakes: Mistakes) -> None:
    """Resolve these addresses of a configuration, and take the logins out of them.

    Args:
        merged: omegaconf's, changed in place.
        keys: dotted names of settings that may hold a login.
        mistakes: where an address goes that cannot be read; one that does not resolve is left as it is.
    """
    for key in keys:
        with mistakes.noted(key), _addresses():
            try:
                address = OmegaConf.select(merged, key)
            except OmegaConfBaseException:
                continue
            if isinstance(address, str):
                OmegaConf.update(merged, key, "")  # also where the address is refused
                OmegaConf.update(merged, key, take_login(address).replace("${", r"\${"))


@contextmanager
def _addresses() -> Iterator[None]:
    token = _in_address.set(True)
    try:
        yield
    finally:
        _in_address.reset(token)


def _variable(name: str, *default: Any) -> str | None:
    """The resolver.

    Raises:
        UserError: the variable may hold a secret.
        KeyError: it is not set, and there is no default.
    """
    is_public = (name.startswith(PREFIX) and not is_secret_variable(name)) or name in PUBLIC
    if not (_in_address.get() or is_public):
        plain = name if is_secret_variable(name) else f"{PREFIX}{name.removeprefix(PREFIX)}"
        raise UserError(
            f"the environment variable {name} would be printed and saved",
            f"variables that hold no secrets by their names: {PREFIX}..., {', '.join(PUBLIC)}; in tracking.uri any",
            f"if it holds none, call it {plain}" if plain != name else "if it holds none, give it a name that says so",
        )
    return cast(str | None, oc.env(name, *default))


OmegaConf.register_resolver("oc.env", _variable, replace=True)
