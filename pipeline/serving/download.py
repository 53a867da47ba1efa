"""Students that MLflow keeps: found by run, by registered name or by address, and downloaded."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.config.build import nearest
from pipeline.config.errors import UserError
from pipeline.serving.logged_models import DIGEST, EXPORTED, PACKED
from pipeline.serving.registry import versions_of
from pipeline.storage.atomic import move
from pipeline.tracking.retry import with_retries
from pipeline.tracking.tracker import FoundRun, Tracker


@dataclass(frozen=True, kw_only=True)
class StoredModel:
    """A student's logged model.

    Args:
        name: of the model, which is that of its student with hyphens.
        run_id: its student's run.
        digest: SHA-256 of the manifest of its package.
        location: where MLflow keeps its files.
    """

    name: str
    run_id: str
    digest: str
    location: str


def model_of_run(tracker: Tracker, run: FoundRun) -> StoredModel | None:
    """The newest complete logged model of a student's run; none if it has none."""
    models = [model for model in _models_of(tracker, run.run_id) if model.status.name == "READY"]
    models.sort(key=lambda model: int(model.creation_timestamp))
    return _stored(models[-1]) if models else None


def model_of_id(tracker: Tracker, model_id: str) -> StoredModel:
    """The logged model of an id.

    Raises:
        UserError: there is none, or it is no student's.
    """
    if (model := _model(tracker, model_id)) is None:
        raise UserError(f"no logged model '{model_id}'", "one of this store", "copy its id again")
    return _stored(model)


def model_of_version(tracker: Tracker, name: str, version: str) -> StoredModel:
    """The logged model behind a version of a registered model, given by number or, with `@` in front, by alias.

    Raises:
        UserError: no such name, alias or version (those that exist are named), or no student's.
    """
    known = {model.name: model for model in _registered(tracker)}
    if name not in known:
        raise UserError(
            f"no registered model '{name}'",
            ", ".join(sorted(known)) or "none yet: a sweep with tracking.register=NAME makes them",
            f"did you mean '{nearest(name, sorted(known))}'?" if known else "name a run, or a folder",
        )
    aliases = {str(alias): str(number) for alias, number in dict(known[name].aliases).items()}
    versions = {str(entry.version): entry for entry in with_retries(lambda: versions_of(tracker.client, name))}
    number = aliases.get(version[1:]) if version.startswith("@") else version
    if number is None or number not in versions:
        there = sorted(f"@{alias}" for alias, one in aliases.items() if one in versions) + sorted(versions, key=int)
        what = f"alias '{version[1:]}'" if version.startswith("@") else f"version '{version}'"
        gone = f", its version {number} was deleted," if version.startswith("@") and number else ""
        allowed = ", ".join(there) or "none: this model has none"
        raise UserError(f"no {what}{gone} of {name}", allowed, "name one that exists")
    # A local store keeps no model id with a version, but where the model's files are.
    models = _models_of(tracker, str(versions[number].run_id)) if versions[number].run_id else []
    if same := [model for model in models if model.artifact_location == versions[number].source]:
        return _stored(same[0])
    if "student" in versions[number].tags:
        raise UserError(
            f"the logged model of version {number} of {name} was deleted",
            "a version whose model is there",
            f"submit its sweep again with tracking.register='{name}', which makes a new version, or name another",
        )
    raise UserError(f"version {number} of {name} is no student of this project", "one of a sweep", "name another")


def download(tracker: Tracker, model: StoredModel, folder: Path) -> None:
    """The package of a logged model and, if it carries one, its export, as `packed` and `onnx` in a folder.

    Raises:
        UserError: there is no package in it.
    """
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    files = get_artifact_repository(model.location, tracking_uri=tracker.client.tracking_uri)
    there = {entry.path.rpartition("/")[2] for entry in with_retries(lambda: files.list_artifacts("data"))}
    if PACKED not in there:
        raise UserError(f"no package in {model.location}", "a whole logged model", "submit its sweep again")
    for name in (PACKED, EXPORTED):
        if name in there:
            with_retries(functools.partial(files.download_artifacts, f"data/{name}", str(folder)))
            move(folder / "data" / name, folder / name)
    (folder / "data").rmdir()


def _models_of(tracker: Tracker, run_id: str) -> list[Any]:
    """The logged models of a run, in whatever experiment it is."""
    if (outputs := tracker.outputs(run_id)) is None:
        return []
    models = (_model(tracker, output.model_id) for output in outputs.model_outputs)
    return [model for model in models if model is not None]


def _model(tracker: Tracker, model_id: str) -> Any | None:
    """A logged model; none if there is none, or one that was deleted."""
    from mlflow.exceptions import MlflowException

    try:
        return with_retries(lambda: tracker.client.get_logged_model(model_id))
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
    return None


def _stored(model: Any) -> StoredModel:
    if DIGEST not in model.tags:
        raise UserError(f"{model.name} is no student of this project", "a logged model of a sweep", "name another")
    return StoredModel(
        name=model.name,
        run_id=str(model.source_run_id or ""),
        digest=model.tags[DIGEST],
        location=model.artifact_location,
    )


def _registered(tracker: Tracker) -> list[Any]:
    found, token = [], None
    while True:
        page = with_retries(functools.partial(tracker.client.search_registered_models, page_token=token))
        found += page
        token = page.token
        if not token:
            return found
