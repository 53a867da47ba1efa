"""Definitions of custom resources, read from a folder of YAML files, and objects against them."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema

from infra.check.builtin_schemas import error_message, error_path, metadata_mistakes
from infra.check.documents import DocumentError, yaml_documents
from infra.check.finding import CannotRunError
from infra.check.rendered import Manifest, at, mapping, sequence
from infra.check.structural_schemas import Schema, repeated, strict, with_defaults

CRDS_VARIABLE = "DQ_CRDS"
NEEDED_KINDS = ("RayCluster", "RayJob", "RayCronJob")
GET_THEM = (
    "write KubeRay's into a folder, `kubectl get crd rayclusters.ray.io rayjobs.ray.io raycronjobs.ray.io -o yaml "
    f"> FOLDER/kuberay.yaml` (or copy them from its Helm chart, kuberay-operator/crds), and name it: --crds FOLDER or "
    f"{CRDS_VARIABLE}=FOLDER"
)


@dataclass(frozen=True, kw_only=True)
class Definition:
    """One version of a custom resource.

    Args:
        api_version: group and version.
        kind: of its objects.
        schema: structural.
        is_namespaced: whether its objects lie in namespaces.
    """

    api_version: str
    kind: str
    schema: Schema
    is_namespaced: bool

    @functools.cached_property
    def validator(self) -> Any:
        """Of the strict schema."""
        return jsonschema.Draft202012Validator(strict(self.schema, is_root=True))


Definitions = dict[tuple[str, str], Definition]


def read_definitions(folder: Path) -> Definitions:
    """All served versions of all definitions in a folder, by (apiVersion, kind).

    Raises:
        CannotRunError: a file is no YAML, or what Ray needs is not there.
    """
    if not folder.is_dir():
        raise CannotRunError(f"no folder {folder}", "a folder with KubeRay's definitions", GET_THEM)
    found: Definitions = {}
    for path in sorted((*folder.glob("*.yaml"), *folder.glob("*.yml"))):
        try:
            documents = yaml_documents(path.read_text(encoding="utf-8"))
        except (DocumentError, OSError, UnicodeDecodeError) as error:
            raise CannotRunError(f"{path}: {error}", "definitions of custom resources as YAML", GET_THEM) from None
        found |= {(one.api_version, one.kind): one for one in definitions_of(documents)}
    kinds = {kind for _, kind in found}
    if lacking := [kind for kind in NEEDED_KINDS if kind not in kinds]:
        raise CannotRunError(f"no definition of {', '.join(lacking)} in {folder}", ", ".join(NEEDED_KINDS), GET_THEM)
    return found


def definitions_of(documents: Sequence[Any]) -> Iterator[Definition]:
    """Those in documents, which may be lists, as kubectl prints several."""
    for document in documents:
        if mapping(document).get("kind") == "List":
            yield from definitions_of(sequence(document.get("items")))
        if mapping(document).get("kind") != "CustomResourceDefinition":
            continue
        for version in sequence(at(document, "spec.versions")):
            schema = at(version, "schema.openAPIV3Schema")
            if isinstance(schema, dict) and version.get("served"):
                yield Definition(
                    api_version=f"{at(document, 'spec.group')}/{version.get('name')}",
                    kind=str(at(document, "spec.names.kind")),
                    schema=schema,
                    is_namespaced=at(document, "spec.scope") != "Cluster",
                )


def definition_of(manifest: Manifest, definitions: Definitions) -> Definition | None:
    """The definition of an object's kind."""
    return definitions.get((str(manifest.get("apiVersion")), str(manifest.get("kind"))))


def custom_mistakes(manifest: Manifest, definition: Definition) -> Iterable[tuple[str, str]]:
    """(path, what is wrong there) of an object of a custom kind."""
    complete = with_defaults(definition.schema, manifest)
    errors = definition.validator.iter_errors(complete)
    found = [(error_path(error.absolute_path), error_message(error)) for error in errors]
    found += repeated(definition.schema, complete)
    return [*sorted(found), *metadata_mistakes(manifest)]
