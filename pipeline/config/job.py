"""What the root dataclass of a job says of itself: its name, groups, the words that may stand without a key."""

from __future__ import annotations

import dataclasses
import functools
import importlib
import pkgutil
import typing
from collections.abc import Iterator
from typing import Any

from pipeline.config import jobs


def job_name(job: type[Any]) -> str:
    """The name of a job: of its module in `config/jobs`, of its file in jobs/ and of its base file in conf/."""
    return job.__module__.rpartition(".")[2]


def job_of(name: str) -> type[Any]:
    """The root dataclass of a job.

    Raises:
        ModuleNotFoundError: there is no such job.
    """
    module = importlib.import_module(f"{jobs.__name__}.{name}")
    (job,) = (
        found
        for found in vars(module).values()
        if isinstance(found, type) and found.__module__ == module.__name__ and found.__name__.endswith("Job")
    )
    return typing.cast(type[Any], job)


def all_jobs() -> list[type[Any]]:
    """The root dataclasses of all jobs, in the order of their names."""
    names = sorted(found.name for found in pkgutil.iter_modules(jobs.__path__))
    return [job_of(name) for name in names if not name.startswith("_")]


@functools.cache
def known_keys() -> dict[str, list[str]]:
    """Dotted names of all sections and settings of all jobs -> the jobs that have them."""
    found: dict[str, list[str]] = {}
    for job in all_jobs():
        parts = [name.split(".") for name, _ in settings_of(job)]
        for key in {".".join(names[:end]) for names in parts for end in range(1, len(names) + 1)}:
            found.setdefault(key, []).append(job_name(job))
    return found


def groups_of(job: type[Any]) -> tuple[str, ...]:
    """Sections of a job that `<name>=<member>` takes from a file of conf/<name>/."""
    return tuple(setting.name for setting in dataclasses.fields(job) if setting.metadata.get("is_group"))


def has_experiments(job: type[Any]) -> bool:
    """Whether a job takes named runs of conf/experiment/."""
    return "experiment" in {setting.name for setting in dataclasses.fields(job)}


def own_section(job: type[Any]) -> str | None:
    """The section whose keys need no section in front; none where the job has none."""
    return next((setting.name for setting in dataclasses.fields(job) if setting.metadata.get("is_own")), None)


def own_settings(job: type[Any]) -> tuple[str, ...]:
    """The names of the settings in that section."""
    return tuple(name.partition(".")[2] for name, _ in settings_of(job) if name.partition(".")[0] == own_section(job))


def positional(job: type[Any]) -> tuple[str, ...]:
    """Dotted keys whose values may stand first without their names, in the order of their places."""
    places = {setting.metadata.get("place"): name for name, setting in settings_of(job)}
    return tuple(places[place] for place in range(len(places)) if place in places)


def literal(job: type[Any]) -> frozenset[str]:
    """Dotted keys of names and texts that a command line gives as they stand: neither YAML nor interpolation."""
    return frozenset(name for name, setting in settings_of(job) if setting.metadata.get("is_literal"))


def addresses(job: type[Any]) -> frozenset[str]:
    """Dotted keys of addresses that may hold a login."""
    return frozenset(name for name, setting in settings_of(job) if setting.metadata.get("is_address"))


def settings_of(
    schema: type[Any], key: str = "", without: frozenset[str] = frozenset()
) -> Iterator[tuple[str, dataclasses.Field[Any]]]:
    """Every setting that is no section, by its dotted key."""
    hints = typing.get_type_hints(schema)
    for setting in dataclasses.fields(schema):
        if setting.name in without:
            continue
        name = f"{key}.{setting.name}" if key else setting.name
        if dataclasses.is_dataclass(hint := hints[setting.name]):
            yield from settings_of(typing.cast(type[Any], hint), name, setting.metadata.get("without", frozenset()))
        else:
            yield name, setting
