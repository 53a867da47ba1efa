"""What objects name is there: in the render, in the overlay around it, or made by hand as a page says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from infra.check.finding import Finding
from infra.check.pod_templates import pod_templates, unseen_containers
from infra.check.rendered import CLUSTER_SCOPED, Manifest, Render, at, mapping, name_of, namespace_of, sequence, walk

CHECK = "law/reference"
# Key whose mapping has a `name` -> the kind that it names.
_BY_NAME = {
    "secretKeyRef": "Secret",
    "secretRef": "Secret",
    "configMapKeyRef": "ConfigMap",
    "configMapRef": "ConfigMap",
}
# Key whose value is a name -> the kind that it names.
_BY_VALUE = {
    "secretName": "Secret",
    "claimName": "PersistentVolumeClaim",
    "serviceAccountName": "ServiceAccount",
    "priorityClassName": "PriorityClass",
    "runtimeClassName": "RuntimeClass",
    "storageClassName": "StorageClass",
}
_IN_VOLUMES = {"configMap": "ConfigMap", "secret": "Secret"}
_MADE_BY_KUBERNETES = {("ServiceAccount", "default"), ("ConfigMap", "kube-root-ca.crt")}
_MADE_BY_KUBERNETES |= {("PriorityClass", f"system-{name}-critical") for name in ("node", "cluster")}
_DATA = ("data", "stringData", "binaryData")
QUEUE_LABEL, _PRIORITY_LABEL = "kueue.x-k8s.io/queue-name", "kueue.x-k8s.io/priority-class"


@dataclass(frozen=True, kw_only=True)
class Reference:
    """An object that another one names.

    Args:
        path: where.
        kind: of the named object.
        name: of it.
        key: that it must have; empty: any.
        namespace: where it must lie; empty: where whoever names it lies, or in none.
    """

    path: str
    kind: str
    name: str
    key: str = ""
    namespace: str = ""


def references(render: Render) -> Iterator[Finding]:
    """Every Secret, ConfigMap, claim, service account, class and queue that is named is there, with its key."""
    there = index(render)
    for manifest in render.objects:
        for one in references_of(manifest):
            namespace = "" if one.kind in CLUSTER_SCOPED else one.namespace or namespace_of(manifest)
            found = there.get((one.kind, one.name, namespace))
            if found is None:
                is_known = (one.kind, one.name) in render.made_by_hand | _MADE_BY_KUBERNETES
                if not is_known and not (one.key and one.path.endswith("]")):  # an item: said of its volume
                    yield render.finding(CHECK, manifest, one.path, *_lacking(one, namespace))
            elif one.key and not any(one.key in mapping(found.get(part)) for part in _DATA):
                problem = f"{one.kind} {one.name} has no key '{one.key}'"
                yield render.finding(CHECK, manifest, one.path, problem, "correct the key")


def index(render: Render) -> dict[tuple[str, str, str], Manifest]:
    """Objects that are there, by kind, name and namespace."""
    objects = (*render.already_there, *render.objects)
    there = {(str(one.get("kind")), name_of(one), namespace_of(one)): one for one in objects}
    for one in objects:
        for claim in sequence(at(one, "spec.volumeClaimTemplates")):
            there[("PersistentVolumeClaim template", name_of(claim), namespace_of(one))] = claim
    return there


def named_elsewhere(render: Render) -> set[tuple[str, str]]:
    """(kind, name) of everything that is named and not there."""
    there = {(kind, name) for kind, name, _ in index(render)}
    named = {(one.kind, one.name) for manifest in render.objects for one in references_of(manifest)}
    return named - there - _MADE_BY_KUBERNETES


def references_of(manifest: Manifest) -> Iterator[Reference]:
    """All that an object names; what is optional may be absent and is left out."""
    for path, value in walk(manifest):
        key = path.rpartition(".")[2]
        if isinstance(value, dict) and value.get("optional") is not True:
            if key in _BY_NAME and "name" in value:
                yield Reference(path=path, kind=_BY_NAME[key], name=str(value["name"]), key=str(value.get("key") or ""))
            elif key in _IN_VOLUMES and "name" in value:
                yield from _keys(path, _IN_VOLUMES[key], str(value["name"]), value)
            elif key == "secret" and "secretName" in value:
                yield from _keys(path, "Secret", str(value["secretName"]), value)
        # A volume's `secret` names its keys, too: it was read above.
        if key in _BY_VALUE and isinstance(value, str) and value and not path.endswith("secret.secretName"):
            yield Reference(path=path, kind=_BY_VALUE[key], name=value)
        if key == "imagePullSecrets":
            for number, one in enumerate(sequence(value)):
                yield Reference(path=f"{path}[{number}]", kind="Secret", name=str(mapping(one).get("name")))
    yield from _by_kind(manifest)


def _keys(path: str, kind: str, name: str, value: dict[str, Any]) -> Iterator[Reference]:
    yield Reference(path=path, kind=kind, name=name)
    for number, item in enumerate(sequence(value.get("items"))):
        yield Reference(path=f"{path}.items[{number}]", kind=kind, name=name, key=str(mapping(item).get("key")))


def _by_kind(manifest: Manifest) -> Iterator[Reference]:
    kind = manifest.get("kind")
    if kind == "StatefulSet" and (service := at(manifest, "spec.serviceName")):
        yield Reference(path="spec.serviceName", kind="Service", name=str(service))
    if kind == "RayJob" and (cluster := mapping(at(manifest, "spec.clusterSelector")).get("ray.io/cluster")):
        yield Reference(path="spec.clusterSelector", kind="RayCluster", name=str(cluster))
    if kind in ("RoleBinding", "ClusterRoleBinding"):
        role = mapping(manifest.get("roleRef"))
        yield Reference(path="roleRef", kind=str(role.get("kind")), name=str(role.get("name")))
        for number, one in enumerate(sequence(manifest.get("subjects"))):
            if mapping(one).get("kind") == "ServiceAccount":
                namespace = str(one.get("namespace") or "")
                name = str(one.get("name"))
                yield Reference(path=f"subjects[{number}]", kind="ServiceAccount", name=name, namespace=namespace)
    labels = mapping(at(manifest, "metadata.labels"))
    for label, named in ((QUEUE_LABEL, "LocalQueue"), (_PRIORITY_LABEL, "WorkloadPriorityClass")):
        if label in labels:
            yield Reference(path=f"metadata.labels.{label}", kind=named, name=str(labels[label]))


def _lacking(one: Reference, namespace: str) -> tuple[str, str]:
    where = f" in namespace {namespace}" if namespace else ""
    problem = f"names {one.kind} {one.name}, which neither this render nor the overlay around it has{where}"
    change = "correct the name, add the object, or say in infra/check/made_by_hand.yaml which page tells how it is made"
    return problem, change


def volumes(render: Render) -> Iterator[Finding]:
    """Every mount names a volume of its pod, every volume is mounted, and no name is given twice."""
    for manifest in render.objects:
        claims = {name_of(one) for one in sequence(at(manifest, "spec.volumeClaimTemplates"))}
        for template in pod_templates(manifest):
            names = [str(mapping(one).get("name")) for one in sequence(template.spec.get("volumes"))]
            mounts = {
                (str(mapping(one).get("name")), f"{container.path}.{key}[{number}]")
                for container in template.containers
                for key in ("volumeMounts", "volumeDevices")
                for number, one in enumerate(sequence(container.body.get(key)))
            }
            for name, path in sorted(mounts):
                if name not in names and name not in claims:
                    yield render.finding(
                        "law/volume", manifest, path, f"mounts '{name}', which the pod has not", "add the volume"
                    )
            for name in sorted(set(names) - {name for name, _ in mounts}):
                problem = f"volume '{name}' is mounted by no container"
                yield render.finding("law/volume", manifest, template.path, problem, "mount it or remove it")
            for name in sorted({name for name in names if names.count(name) > 1}):
                yield render.finding("law/volume", manifest, template.path, f"two volumes '{name}'", "rename one")


def unseen_pods(render: Render) -> Iterator[Finding]:
    """No object describes containers where the checks do not look."""
    for manifest in render.objects:
        for path in unseen_containers(manifest):
            change = "teach infra/check/pod_templates.py where pods of this kind are described"
            yield render.finding("law/unseen", manifest, path, "containers that no check looks at", change)
