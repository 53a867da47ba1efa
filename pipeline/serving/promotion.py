"""Aliases of a registered model that a night moves: `champion` and `previous`, beside `best` and `smallest`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

from pipeline.config.errors import UserError
from pipeline.serving.registry import has_model, versions_of
from pipeline.tracking.retry import with_retries
from pipeline.tracking.tracker import Tracker

CHAMPION, PREVIOUS = "champion", "previous"


@dataclass(frozen=True, kw_only=True)
class Aliases:
    """Versions that the two aliases name; none where an alias is not set."""

    champion: str | None = None
    previous: str | None = None


def aliases_of(tracker: Tracker, name: str) -> Aliases:
    """Where the aliases of a registered model point now; nowhere where there is no such model."""
    return with_retries(lambda: _read(tracker.client, name))


def point(tracker: Tracker, name: str, wanted: Aliases) -> Aliases:
    """Set the aliases and read them back; `previous` first, so that there is a way back at every moment.

    Args:
        tracker: of the store.
        name: of the registered model.
        wanted: an alias of no version is removed.

    Returns:
        what is read afterwards; whoever wants to be sure compares.
    """
    for alias, version in ((PREVIOUS, wanted.previous), (CHAMPION, wanted.champion)):
        with_retries(partial(_set, tracker.client, name, alias, version))
    return aliases_of(tracker, name)


def check_version(tracker: Tracker, name: str, version: str) -> None:
    """Refuse a version that is not there, or whose model was deleted.

    Raises:
        UserError: as said, with those that are there.
    """
    versions = {str(one.version): one for one in with_retries(lambda: versions_of(tracker.client, name))}
    whole = [number for number, one in versions.items() if with_retries(partial(has_model, tracker.client, one))]
    if version not in whole:
        there = ", ".join(sorted(whole, key=int)) or "none"
        raise UserError(f"no version {version} of {name} whose model is there", there, "name one of them in to=VERSION")


def _read(client: Any, name: str) -> Aliases:
    from mlflow.exceptions import MlflowException

    try:
        aliases = dict(client.get_registered_model(name).aliases)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return Aliases()
    found = {alias: str(aliases[alias]) for alias in (CHAMPION, PREVIOUS) if alias in aliases}
    return Aliases(champion=found.get(CHAMPION), previous=found.get(PREVIOUS))


def _set(client: Any, name: str, alias: str, version: str | None) -> None:
    if version is None:
        client.delete_registered_model_alias(name, alias)
    else:
        client.set_registered_model_alias(name, alias, version)
