"""Objects as a render gives them, and their names in messages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

from infra.check.finding import Finding

Manifest = dict[str, Any]

# Kinds of Kubernetes itself, of Kueue and of KubeRay's neighbours that lie in no namespace.
CLUSTER_SCOPED = frozenset(
    {
        "Namespace",
        "ClusterRole",
        "ClusterRoleBinding",
        "CustomResourceDefinition",
        "IngressClass",
        "PersistentVolume",
        "PriorityClass",
        "RuntimeClass",
        "StorageClass",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
        "ClusterQueue",
        "ResourceFlavor",
        "Topology",
        "WorkloadPriorityClass",
    }
)


@dataclass(frozen=True, kw_only=True)
class Render:
    """What one kustomization makes.

    Args:
        source: its folder, relative to the checkout.
        objects: that it makes: they are judged.
        already_there: objects of the overlays around its folder, which are applied before it.
        applied_later: objects of kustomizations below its folder.
        image_names: of images that the overlay sets: where releases are named.
        made_by_hand: (kind, name) of objects that the documentation has made before.
    """

    source: str
    objects: Sequence[Manifest]
    already_there: Sequence[Manifest] = ()
    applied_later: Sequence[Manifest] = ()
    image_names: frozenset[str] = frozenset()
    made_by_hand: frozenset[tuple[str, str]] = frozenset()

    def finding(self, check: str, manifest: Manifest, path: str, problem: str, change: str) -> Finding:
        """A finding about one of its objects."""
        return Finding(
            check=check, source=self.source, object=label_of(manifest), path=path, problem=problem, change=change
        )


def name_of(manifest: Manifest) -> str:
    """Its name; of an object that the server names, the beginning."""
    metadata = mapping(manifest.get("metadata"))
    return str(metadata.get("name") or metadata.get("generateName") or "?")


def label_of(manifest: Manifest) -> str:
    """`Kind/name`."""
    return f"{manifest.get('kind', '?')}/{name_of(manifest)}"


def namespace_of(manifest: Manifest) -> str:
    """Its namespace; empty where none is said."""
    return str(mapping(manifest.get("metadata")).get("namespace") or "")


def group_of(manifest: Manifest) -> str:
    """The group of its kind; empty for the core."""
    group, slash, _ = str(manifest.get("apiVersion", "")).partition("/")
    return group if slash else ""


def mapping(value: Any) -> dict[str, Any]:
    """The value if it is a mapping, else an empty one: schemas say what should be one, laws look past it."""
    return value if isinstance(value, dict) else {}


def sequence(value: Any) -> list[Any]:
    """The value if it is a list, else an empty one."""
    return value if isinstance(value, list) else []


def is_number(value: Any) -> TypeGuard[int]:
    """Whether it is a whole number; truth values are none."""
    return isinstance(value, int) and not isinstance(value, bool)


def at(value: Any, dotted: str) -> Any:
    """What lies at a path of keys, `spec.template`; None where there is nothing."""
    for key in filter(None, dotted.split(".")):
        value = mapping(value).get(key)
    return value


def joined(path: str, key: str | int) -> str:
    """A path and one step more."""
    if isinstance(key, int):
        return f"{path}[{key}]"
    return f"{path}.{key}" if path else key


def walk(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Everything inside a value with its path, itself first."""
    yield path, value
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from walk(inner, joined(path, key))
