"""Settings under the names of earlier versions: still understood, and told once."""

from __future__ import annotations

import dataclasses
import functools
import logging
import typing
from typing import Any

log = logging.getLogger(__name__)


def with_todays_names(values: Any, schema: Any, key: str = "") -> Any:
    """Values of a section whose settings may bear the names of earlier versions; each old name is told once.

    Args:
        values: plain data; what is no section is returned as it is.
        schema: the section's dataclass.
        key: its dotted name, for the warning.
    """
    if not isinstance(values, dict) or not dataclasses.is_dataclass(schema):
        return values
    hints = typing.get_type_hints(schema)
    formerly = {f.name: f.metadata.get("formerly") for f in dataclasses.fields(schema)}
    todays: dict[Any, str] = {old: name for name, old in formerly.items() if old is not None}
    renamed: dict[Any, Any] = {}
    for given, value in values.items():
        name = str(todays.get(given, given))
        if name != given and name in values:
            name = given  # both: the old one is refused as unknown
        if name != given:
            _say_renamed(dotted(key, given), dotted(key, name))
        renamed[name] = with_todays_names(value, hints.get(name), dotted(key, str(name)))
    return renamed


@functools.cache
def _say_renamed(old: str, new: str) -> None:
    log.warning("'%s' is called '%s' now: the old name is understood for the time being", old, new)


def dotted(key: str, name: str) -> str:
    """The dotted name of a setting in a section, which has none where it is the whole configuration."""
    return f"{key}.{name}" if key else name
