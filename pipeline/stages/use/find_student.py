"""Which student `model=` means: a folder, a zip of one, a run, a registered model, or an address of MLflow."""

from __future__ import annotations

import logging
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pipeline.config.errors import UserError
from pipeline.config.jobs import HasRuns
from pipeline.export.package import FORMAT as PACKAGE_FORMAT
from pipeline.export.package import MANIFEST
from pipeline.export.package_manifest import read_manifest as read_package
from pipeline.runtime.archive import opened
from pipeline.runtime.manifest import FORMAT as EXPORT_FORMAT
from pipeline.runtime.manifest import check_source, read_manifest
from pipeline.runtime.manifest_file import read_json
from pipeline.serving.download import StoredModel, download, model_of_id, model_of_run, model_of_version
from pipeline.serving.logged_models import EXPORTED, PACKED, model_name
from pipeline.stages.runs import open_tracker, tracking_uri
from pipeline.stages.student_path import WAYS, student_path
from pipeline.storage.atomic import atomic_folder
from pipeline.storage.digests import sha256_of
from pipeline.storage.layout import open_storage
from pipeline.tracking.store import check_store_exists
from pipeline.tracking.tracker import FoundRun, Tracker

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class FoundModel:
    """A student on this machine's disk; at least one of its two forms is there.

    Args:
        name: what its folders are called.
        package: its package.
        exported: the same as graphs.
    """

    name: str
    package: Path | None
    exported: Path | None


def find_model(config: HasRuns, given: str) -> FoundModel:
    """The student that a person means, downloaded into the cache where MLflow keeps it.

    Raises:
        UserError: there is none, or something else of that name; what there is is named.
    """
    path = student_path(given)
    if path is not None:
        return _of_folder(path) if path.is_dir() else _of_file(config, path)
    check_store_exists(tracking_uri(config))
    tracker = open_tracker(config, retry_seconds=0.0)
    return _downloaded(config, tracker, _stored(tracker, given))


def _of_folder(path: Path) -> FoundModel:
    """A folder of either form, a student's folder of a sweep, or a logged model's."""
    whole = path.resolve()
    kind = _format(path)
    if kind.startswith("dq-packed/"):
        named = whole.parents[1] if whole.parent.name == "data" else whole.parent
        return FoundModel(name=named.name if whole.name == PACKED else whole.name, package=path, exported=None)
    if kind.startswith("dq-onnx/"):
        name = whole.parent.name if whole.name == EXPORTED else whole.name
        return FoundModel(name=name, package=None, exported=path)
    for inside in (path, path / "data"):
        package, exported = (inside / name if _format(inside / name) else None for name in (PACKED, EXPORTED))
        if package is not None and exported is not None:
            check_source(exported, package)
        if package is not None or exported is not None:
            return FoundModel(name=whole.name, package=package, exported=exported)
    reason = f"it has no {MANIFEST} of format {PACKAGE_FORMAT} or {EXPORT_FORMAT}"
    if (path / "config.json").is_file():
        reason = "it is a model in full precision, as a teacher is"
    if (path / "students").is_dir():
        reason = "it is a sweep; its students lie in " + str(path / "students")
    raise UserError(f"{path} is not a student: {reason}", WAYS, "name the folder of a student")


def _format(path: Path) -> str:
    """The format that a folder's manifest names; empty if it does not. Whoever loads the folder says what is wrong."""
    try:
        manifest = read_json(path / MANIFEST)
    except (OSError, ValueError):
        return ""
    return str(manifest.get("format", "")) if isinstance(manifest, dict) else ""


def _of_file(config: HasRuns, path: Path) -> FoundModel:
    """A zip of an exported folder, unpacked into the cache once."""
    folder = open_storage(config.storage.path).cache / "models" / f"zip-{sha256_of(path)[:16]}"
    if not _is_kept(folder, lambda: read_manifest(folder)):
        with opened(path) as unpacked, atomic_folder(folder) as partial:
            shutil.copytree(unpacked, partial, dirs_exist_ok=True)
    return FoundModel(name=path.stem, package=None, exported=folder)


def _stored(tracker: Tracker, given: str) -> StoredModel:
    if given.startswith("models:/"):
        name = given.removeprefix("models:/")
        if re.fullmatch(r"m-[0-9a-f]{32}", name):
            return model_of_id(tracker, name)
        return _of_registry(tracker, name, given)
    if given.startswith("runs:/"):
        run_id, _, name = given.removeprefix("runs:/").partition("/")
        run = tracker.by_id(run_id)
        if run is None:
            raise UserError(f"no run '{run_id}'", "the id of a run of this store", "copy the address again")
        model = _of_run(tracker, run)
        if name not in ("", model.name):
            raise UserError(f"no model '{name}' on run '{run.name}'", model.name, f"write runs:/{run_id}/{model.name}")
        return model
    if "@" in given or re.search(r"/\d+$", given):
        return _of_registry(tracker, given, given)
    if "/" in given:
        raise UserError(f"{given} does not exist", WAYS, "name a folder that is there, or a run")
    return _of_run(tracker, tracker.one_run(given))


def _of_registry(tracker: Tracker, name: str, given: str) -> StoredModel:
    found = re.fullmatch(r"(?P<name>[^@]+?)/?(?P<version>@.+|(?<=/)\d+)", name)
    if found is None:
        raise UserError(f"model={given}", "name@alias or name/version", "name one of a registered model's versions")
    return model_of_version(tracker, found["name"], found["version"])


def _of_run(tracker: Tracker, run: FoundRun) -> StoredModel:
    """The model of a student's run.

    Raises:
        UserError: another kind of run, or no model on it.
    """
    kind = run.tags.get("dq.kind", "other")
    if kind == "sweep":
        names = ", ".join(sorted(child.name for child in tracker.children(run.run_id) if child.finished)) or "none yet"
        raise UserError(f"run '{run.name}' is a sweep", f"one of its finished students: {names}", "name a student")
    if kind != "student":
        what = "a teacher's, in full precision" if kind == "teacher" else "no student's"
        raise UserError(f"run '{run.name}' ({run.run_id}) is {what}", "the run of a student", "name a student")
    if not run.finished:
        raise UserError(
            f"run '{run.name}' ({run.run_id}) is {run.state}", "a finished student", "wait, or train it again"
        )
    if (model := model_of_run(tracker, run)) is None:
        raise UserError(
            f"run '{run.name}' ({run.run_id}) has no logged model",
            "a student's run with one, or its folder sweeps/.../students/.../packed in the storage folder",
            "submit its sweep again, which logs what is missing, or name the folder",
        )
    return model


def _downloaded(config: HasRuns, tracker: Tracker, model: StoredModel) -> FoundModel:
    """A logged model's files in the cache; named by the digest of its manifest, so each is there once."""
    folder = open_storage(config.storage.path).cache / "models" / f"{model_name(model.name)}-{model.digest[:16]}"
    if not _is_kept(folder, lambda: _check_is_of(folder, model)):
        log.info(f"model {model.name}: downloading it from MLflow")
        with atomic_folder(folder) as partial:
            download(tracker, model, partial)
            _check_is_of(partial, model)
    exported = folder / EXPORTED
    return FoundModel(name=model.name, package=folder / PACKED, exported=exported if exported.is_dir() else None)


def _check_is_of(folder: Path, model: StoredModel) -> None:
    """Refuse a package that is not the one that its run has logged, and graphs that are not the package's."""
    manifest = folder / PACKED / MANIFEST
    if not manifest.is_file() or sha256_of(manifest) != model.digest:
        raise UserError(f"{model.location} has changed", "what its run says", "submit its sweep again")
    read_package(folder / PACKED)
    if (folder / EXPORTED).is_dir():
        read_manifest(folder / EXPORTED)
        try:
            check_source(folder / EXPORTED, folder / PACKED)
        except UserError:
            given = f"{model.location}: its graphs (data/{EXPORTED}) are those of another student"
            change = f"put its own back, or take data/{EXPORTED} away: then the package answers"
            raise UserError(given, "a package and its own graphs", change) from None


def _is_kept(folder: Path, check: Callable[[], object]) -> bool:
    """Whether a copy in the cache is there and whole; whoever finds it damaged makes it again."""
    if not folder.is_dir():
        return False
    try:
        check()
    except UserError as error:
        log.warning(f"the cache is of no use, and made again: {error}")
        return False
    return True
