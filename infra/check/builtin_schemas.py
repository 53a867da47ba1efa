"""Objects against the schemas of Kubernetes' own kinds, as the package kubernetes-validate ships them."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator
from importlib import resources
from typing import Any

import jsonschema
from referencing import Registry, Resource

from infra.check.rendered import Manifest, group_of, joined, mapping, walk

# The oldest that Kubernetes itself still maintains in November 2026, and the newest; an object must fit both.
KUBERNETES_VERSIONS = ("1.35.0", "1.37.0")
_OWN_GROUPS = {"", "apps", "autoscaling", "batch", "policy"}
_DEFINITIONS = "/api/_definitions.json"
_METADATA = f"{_DEFINITIONS}#/$defs/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
_MESSAGE_CHARACTERS = 300


def is_builtin(manifest: Manifest) -> bool:
    """Whether its kind is one of Kubernetes' own."""
    return _schema(_file_name(manifest), KUBERNETES_VERSIONS[-1]) is not None and _is_own_group(group_of(manifest))


def builtin_mistakes(manifest: Manifest) -> Iterator[tuple[str, str]]:
    """(path, what is wrong there) of an object of a builtin kind, in all versions."""
    seen = set()
    for version in KUBERNETES_VERSIONS:
        schema = _schema(_file_name(manifest), version)
        if schema is None:
            yield "", f"Kubernetes {version} does not know {manifest.get('apiVersion')} {manifest.get('kind')}"
            continue
        for path, message in _mistakes(schema, version, manifest):
            if path not in seen:  # the versions say the same with other words
                seen.add(path)
                yield path, f"{message} (Kubernetes {version})"
    yield from nulls(manifest)


def metadata_mistakes(manifest: Manifest) -> Iterator[tuple[str, str]]:
    """(path, what is wrong there) of the metadata of an object of any kind; definitions of resources leave it open."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$ref": _METADATA, "$id": _base_id()}
    for path, message in _mistakes(schema, KUBERNETES_VERSIONS[-1], manifest.get("metadata")):
        yield "metadata" + (f".{path}" if path and not path.startswith("[") else path), message


def nulls(manifest: Manifest) -> Iterator[tuple[str, str]]:
    """Keys without a value: the server drops them, so whoever wrote one meant something else."""
    for path, value in walk(manifest):
        if value is None and not path.endswith("creationTimestamp"):
            yield path, "no value is given"


def error_path(steps: Any) -> str:
    """A path of jsonschema's as this tool writes paths."""
    path = ""
    for step in steps:
        path = joined(path, step)
    return path


def error_message(error: jsonschema.ValidationError) -> str:
    """What jsonschema says, without the value where that is long."""
    message = str(error.message)
    if len(message) > _MESSAGE_CHARACTERS:
        message = f"{message[:_MESSAGE_CHARACTERS]} ..."
    return message


def _mistakes(schema: dict[str, Any], version: str, value: Any) -> Iterator[tuple[str, str]]:
    registry: Registry[Any] = Resource.from_contents(_definitions(version)) @ Registry()
    validator = jsonschema.Draft202012Validator(schema, registry=registry)
    for error in sorted(validator.iter_errors(value), key=lambda one: list(map(str, one.absolute_path))):
        yield error_path(error.absolute_path), error_message(error)


def _file_name(manifest: Manifest) -> str:
    version = re.sub(r"^([^./]*)(?:\.[^/]*)?/", r"\1-", str(manifest.get("apiVersion", "")))
    return f"{str(manifest.get('kind', '')).lower()}-{version}"


def _is_own_group(group: str) -> bool:
    return group in _OWN_GROUPS or (group.endswith(".k8s.io") and not group.endswith(".x-k8s.io"))


def _base_id() -> str:
    return f"https://kubernetes.io{_DEFINITIONS.rpartition('/')[0]}/metadata"


@functools.cache
def _schema(name: str, version: str) -> dict[str, Any] | None:
    path = _folder(version).joinpath(f"{name}.json")
    if not re.fullmatch(r"[\w.-]+", name) or not path.is_file():
        return None
    return mapping(json.loads(path.read_text(encoding="utf-8")))


@functools.cache
def _definitions(version: str) -> dict[str, Any]:
    return mapping(json.loads(_folder(version).joinpath("_definitions.json").read_text(encoding="utf-8")))


def _folder(version: str) -> Any:
    schemas = resources.files("kubernetes_validate").joinpath("kubernetes-json-schema")
    return schemas.joinpath(f"v{version}-local-strict")
