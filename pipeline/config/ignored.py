"""Settings that others make useless: those that somebody has set all the same are told, and why they do nothing."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.config.former_names import dotted
from pipeline.config.option import default_of

log = logging.getLogger(__name__)


def say_ignored(config: Any, ignored: Mapping[str, str]) -> None:
    """Warn of settings that do nothing and differ from their defaults; all that one reason concerns in one line.

    Args:
        config: the root dataclass of a job.
        ignored: dotted name of a setting or of a section -> what makes it useless.
    """
    reasons: dict[str, list[str]] = {}
    for key, value in _changed(config):
        for name, why in ignored.items():
            if key == name or key.startswith(f"{name}."):
                reasons.setdefault(why, []).append(f"{key}={value}")
    for why, settings in reasons.items():
        log.warning(f"ignored, because of {why}: {', '.join(settings)}")


def _changed(settings: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted names and values of all settings that differ from their defaults."""
    for setting in dataclasses.fields(settings):
        name, value = dotted(key, setting.name), getattr(settings, setting.name)
        if dataclasses.is_dataclass(value):
            yield from _changed(value, name)
        elif value != default_of(setting):
            yield name, value
