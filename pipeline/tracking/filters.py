"""Conditions that MLflow's searches take: its language cannot write every text."""

from __future__ import annotations

import re

WRITABLE = re.compile(r"[\w .:=+-]*", re.ASCII)


def condition_on(attribute: str, name: str) -> str:
    """The condition that an attribute is a name; empty, which all fulfil, where the name cannot be written.

    Who searches compares names again, which also tells upper case from lower where a database does not.

    Args:
        attribute: as MLflow calls it.
        name: any text.
    """
    return f"{attribute} = '{name}'" if WRITABLE.fullmatch(name) else ""
