"""Stable names: what a teacher, a sweep or a student is called depends on what was decided, not on how it is written.

A key hashes what differs from the defaults. So a setting that is added in a later version, and whose default is what
was done before, renames nothing that is finished. A default that changes its meaning would keep the name of something
else: whoever changes one raises `KEY_VERSION` of its section by hand. Keys are made of the sections task (but for its
corpus, which a fingerprint stands for), recipe, training and student, and of a model's architecture where it starts
from scratch.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Collection
from typing import Any

from pipeline.config.option import default_of


def config_hash(*parts: Any, length: int = 10) -> str:
    """A stable name for plain data: the first hex digits of the SHA-256 of its canonical JSON."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:length]


def decisions(settings: Any, *, without: Collection[str] = (), only: Collection[str] | None = None) -> dict[str, Any]:
    """What of a section differs from its defaults, section by section; their versions where those are not the first.

    Settings that change no results are left out.

    Args:
        settings: a section's dataclass.
        without: names of settings that decide nothing here.
        only: names of those that decide something; none: all but `without`.
    """
    decided: dict[str, Any] = {}
    version = getattr(type(settings), "KEY_VERSION", 1)
    if version != 1:
        decided["KEY_VERSION"] = version
    for setting in dataclasses.fields(settings):
        if setting.name in without or (only is not None and setting.name not in only):
            continue
        if not setting.metadata.get("changes_results", True):
            continue
        value = getattr(settings, setting.name)
        if dataclasses.is_dataclass(value):
            if inner := decisions(value):
                decided[setting.name] = inner
        elif value != default_of(setting):
            decided[setting.name] = _plain(value)
    return decided


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return decisions(value)
    return [_plain(item) for item in value] if isinstance(value, list) else value
