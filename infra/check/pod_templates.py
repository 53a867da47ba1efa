"""Where in an object pods are described: the one place that knows, all checks ask here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from infra.check.rendered import Manifest, at, group_of, joined, mapping, name_of, sequence, walk

_TEMPLATES = {
    ("", "Pod"): "",
    ("", "PodTemplate"): "template",
    ("", "ReplicationController"): "spec.template",
    ("apps", "Deployment"): "spec.template",
    ("apps", "StatefulSet"): "spec.template",
    ("apps", "DaemonSet"): "spec.template",
    ("apps", "ReplicaSet"): "spec.template",
    ("batch", "Job"): "spec.template",
    ("batch", "CronJob"): "spec.jobTemplate.spec.template",
}
# Kind -> (path of a cluster's specification, path of the one of a job, if it has any).
_RAY_KINDS = {
    "RayCluster": ("spec", None),
    "RayService": ("spec.rayClusterConfig", None),
    "RayJob": ("spec.rayClusterSpec", "spec"),
    "RayCronJob": ("spec.jobTemplate.rayClusterSpec", "spec.jobTemplate"),
}
RAY_GROUP = "ray.io"
CLUSTER_LABEL = "ray.io/cluster"
_ADDED = {
    "ray.io/is-ray-node": "yes",
    "app.kubernetes.io/name": "kuberay",
    "app.kubernetes.io/created-by": "kuberay-operator",
}
_CONTAINER_LISTS = {"initContainers": "init", "containers": "main", "ephemeralContainers": "ephemeral"}


@dataclass(frozen=True, kw_only=True)
class Container:
    """A container of a pod.

    Args:
        path: in the object that describes it.
        body: what is said of it.
        role: `init`, `main`, `ephemeral`, or `autoscaler`, which KubeRay adds to a head.
    """

    path: str
    body: dict[str, Any]
    role: str


@dataclass(frozen=True, kw_only=True)
class PodTemplate:
    """A pod that an object describes.

    Args:
        owner: the object.
        path: of the template in it.
        role: `pod`, `head`, `worker-<group>` or `submitter`.
        body: the template: metadata and spec.
        labels: of the pods, with those that KubeRay adds.
        unknown_labels: which they have, too, with values that are made when they start.
        containers: all of them.
    """

    owner: Manifest
    path: str
    role: str
    body: dict[str, Any]
    labels: dict[str, str]
    unknown_labels: frozenset[str]
    containers: tuple[Container, ...]

    @property
    def spec(self) -> dict[str, Any]:
        """The specification of the pod."""
        return mapping(self.body.get("spec"))

    @property
    def runs_ray(self) -> bool:
        """Whether the pod is a node of a Ray cluster."""
        return self.role == "head" or self.role.startswith("worker")


def ray_specifications(manifest: Manifest) -> tuple[str, str | None] | None:
    """Paths of the specification of a Ray cluster and of a Ray job in an object of Ray's; None: it is none."""
    return _RAY_KINDS.get(str(manifest.get("kind"))) if group_of(manifest) == RAY_GROUP else None


def pod_templates(manifest: Manifest) -> list[PodTemplate]:
    """All pods that an object describes."""
    if (paths := ray_specifications(manifest)) is not None:
        return list(_of_ray(manifest, *paths))
    path = _TEMPLATES.get((group_of(manifest), str(manifest.get("kind"))))
    body = None if path is None else at(manifest, path)
    return [_template(manifest, path or "", "pod", body)] if isinstance(body, dict) else []


def unseen_containers(manifest: Manifest) -> list[str]:
    """Paths of lists of containers that no template holds: pods that the checks would miss."""
    known = tuple(joined(one.path, "spec") if one.path else "spec" for one in pod_templates(manifest))
    lists = [
        path
        for path, value in walk(manifest)
        if path.rpartition(".")[2] in _CONTAINER_LISTS
        and isinstance(value, list)
        and any(isinstance(one, dict) and "name" in one for one in value)
    ]
    return [path for path in lists if path.rpartition(".")[0] not in known]


def _of_ray(manifest: Manifest, cluster: str, job: str | None) -> Iterator[PodTemplate]:
    name = name_of(manifest) if manifest.get("kind") == "RayCluster" else None
    specification = mapping(at(manifest, cluster))
    head = mapping(specification.get("headGroupSpec"))
    if isinstance(head.get("template"), dict):
        labels = _ray_labels(head, name, "head", "headgroup")
        added = _autoscaler(cluster, specification, head)
        yield _template(manifest, f"{cluster}.headGroupSpec.template", "head", head["template"], labels, added)
    for index, group in enumerate(sequence(specification.get("workerGroupSpecs"))):
        if isinstance(mapping(group).get("template"), dict):
            group_name = str(group.get("groupName"))
            labels = _ray_labels(group, name, "worker", group_name)
            path = f"{cluster}.workerGroupSpecs[{index}].template"
            yield _template(manifest, path, f"worker-{group_name}", group["template"], labels)
    if job is not None and isinstance(submitter := at(manifest, f"{job}.submitterPodTemplate"), dict):
        labels = _labels(submitter) | {"ray.io/originated-from-crd": "RayJob"}
        if manifest.get("kind") == "RayJob":
            labels["ray.io/originated-from-cr-name"] = name_of(manifest)
        labels["app.kubernetes.io/created-by"] = "kuberay-operator"
        yield _template(manifest, f"{job}.submitterPodTemplate", "submitter", submitter, labels)


def _ray_labels(group: dict[str, Any], cluster: str | None, node_type: str, group_name: str) -> dict[str, str]:
    """As `labelPod` of KubeRay 1.6: a template may change all of them but three."""
    fixed = {"ray.io/node-type": node_type, "ray.io/group": group_name}
    fixed |= {CLUSTER_LABEL: cluster} if cluster else {}
    own = _labels(mapping(group.get("template"))) | {str(key): str(value) for key, value in _pairs(group.get("labels"))}
    own.pop(CLUSTER_LABEL, None)
    return _ADDED | own | fixed


def _autoscaler(cluster: str, specification: dict[str, Any], head: dict[str, Any]) -> tuple[Container, ...]:
    if not specification.get("enableInTreeAutoscaling"):
        return ()
    body = dict(mapping(specification.get("autoscalerOptions")))
    containers = sequence(at(head, "template.spec.containers"))
    if "image" not in body and containers:
        body["image"] = mapping(containers[0]).get("image")
    return (Container(path=f"{cluster}.autoscalerOptions", body={"name": "autoscaler"} | body, role="autoscaler"),)


def _template(
    owner: Manifest,
    path: str,
    role: str,
    body: dict[str, Any],
    labels: dict[str, str] | None = None,
    added: tuple[Container, ...] = (),
) -> PodTemplate:
    spec = mapping(body.get("spec"))
    start = joined(path, "spec") if path else "spec"
    containers = [
        Container(path=f"{start}.{key}[{index}]", body=mapping(one), role=kind)
        for key, kind in _CONTAINER_LISTS.items()
        for index, one in enumerate(sequence(spec.get(key)))
    ]
    named_later = owner.get("kind") != "RayCluster" and (role == "head" or role.startswith("worker"))
    return PodTemplate(
        owner=owner,
        path=path,
        role=role,
        body=body,
        labels=_labels(body) if labels is None else labels,
        unknown_labels=frozenset({CLUSTER_LABEL} if named_later else ()),
        containers=(*containers, *added),
    )


def _labels(body: dict[str, Any]) -> dict[str, str]:
    return {str(key): str(value) for key, value in _pairs(mapping(body.get("metadata")).get("labels"))}


def _pairs(value: Any) -> list[tuple[Any, Any]]:
    return list(mapping(value).items())
