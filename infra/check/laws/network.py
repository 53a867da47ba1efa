"""Selectors select something, and what nobody allowed is denied."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from infra.check.finding import Finding
from infra.check.pod_templates import PodTemplate, pod_templates
from infra.check.rendered import CLUSTER_SCOPED, Manifest, Render, at, joined, mapping, namespace_of, sequence
from infra.check.selectors import is_empty, matches

SELECTOR, DENY, NAMESPACE, PORT = "law/selector", "law/default-deny", "law/namespace", "law/port"
_DNS_PORT = 53
_NAMESPACE_LABEL = "kubernetes.io/metadata.name"


def selectors(render: Render) -> Iterator[Finding]:
    """Services, policies, budgets and workloads take at least one pod of this render or of those around it."""
    templates = _templates(render)
    for manifest in render.objects:
        for path, selector, namespace in selectors_of(manifest):
            there = [one for one in templates if namespace_of(one.owner) == namespace]
            if not any(matches(selector, one.labels, one.unknown_labels) for one in there):
                words = ", ".join(sorted({one.role for one in there})) or "none"
                problem = f"takes no pod of namespace {namespace or '(none)'} (there are: {words})"
                change = "correct the labels; infra/check/pod_templates.py says which ones KubeRay gives"
                yield render.finding(SELECTOR, manifest, path, problem, change)
        yield from _own_selector(render, manifest)


def selectors_of(manifest: Manifest) -> Iterator[tuple[str, Any, str]]:
    """(path, selector, namespace) of everything in an object that must take a pod."""
    kind, own = manifest.get("kind"), namespace_of(manifest)
    spec = mapping(manifest.get("spec"))
    if kind == "Service" and spec.get("selector"):
        yield "spec.selector", {"matchLabels": spec["selector"]}, own
    if kind == "PodDisruptionBudget":
        yield "spec.selector", spec.get("selector"), own
    if kind == "NetworkPolicy":
        if not is_empty(spec.get("podSelector")):
            yield "spec.podSelector", spec["podSelector"], own
        for direction, side in (("ingress", "from"), ("egress", "to")):
            for number, rule in enumerate(sequence(spec.get(direction))):
                for index, peer in enumerate(sequence(mapping(rule).get(side))):
                    yield from _peer(f"spec.{direction}[{number}].{side}[{index}]", mapping(peer), own)


def _peer(path: str, peer: dict[str, Any], own: str) -> Iterator[tuple[str, Any, str]]:
    """Pods of other namespaces are not ours to know."""
    if is_empty(peer.get("podSelector")):
        return
    others = peer.get("namespaceSelector")
    name = mapping(mapping(others).get("matchLabels")).get(_NAMESPACE_LABEL)
    if others is None or name == own:
        yield f"{path}.podSelector", peer["podSelector"], own


def _own_selector(render: Render, manifest: Manifest) -> Iterator[Finding]:
    if manifest.get("kind") not in ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet"):
        return
    for template in pod_templates(manifest):
        selector = at(manifest, "spec.selector")
        if is_empty(selector) or not matches(selector, template.labels):
            change = "give its template the labels of its selector"
            yield render.finding(SELECTOR, manifest, "spec.selector", "does not take its own pods", change)


def ports(render: Render) -> Iterator[Finding]:
    """A port that is named by its name is one of a container that the selector takes."""
    templates = _templates(render)
    for manifest in render.objects:
        if manifest.get("kind") != "Service" or not at(manifest, "spec.selector"):
            continue
        selector = {"matchLabels": at(manifest, "spec.selector")}
        taken = [
            one
            for one in templates
            if namespace_of(one.owner) == namespace_of(manifest) and matches(selector, one.labels)
        ]
        names = {mapping(port).get("name") for one in taken for c in one.containers for port in _ports(c.body)}
        for number, port in enumerate(sequence(at(manifest, "spec.ports"))):
            target = mapping(port).get("targetPort")
            if taken and isinstance(target, str) and target not in names:
                problem = f"targetPort '{target}' is the name of no port of its pods"
                yield render.finding(PORT, manifest, f"spec.ports[{number}]", problem, "name a containerPort so")


def _ports(container: dict[str, Any]) -> list[Any]:
    return sequence(container.get("ports"))


def default_deny(render: Render) -> Iterator[Finding]:
    """Each namespace with pods has a policy that takes all of them and allows nothing, but for DNS."""
    policies = [one for one in (*render.already_there, *render.objects) if one.get("kind") == "NetworkPolicy"]
    first_pods: dict[str, Manifest] = {}
    for manifest in render.objects:
        if namespace_of(manifest) and pod_templates(manifest):
            first_pods.setdefault(namespace_of(manifest), manifest)
    for namespace, manifest in first_pods.items():
        denied: set[str] = set()
        for policy in policies:
            if namespace_of(policy) == namespace:
                denied |= denied_by(mapping(policy.get("spec")))
        for direction in sorted({"Ingress", "Egress"} - denied):
            problem = f"namespace {namespace} allows all {direction.lower()} that no policy speaks of"
            change = "add a NetworkPolicy with podSelector {} and both policyTypes that allows nothing but DNS"
            yield render.finding(DENY, manifest, "", problem, change)


def denied_by(spec: dict[str, Any]) -> set[str]:
    """The directions in which a policy denies everything to all pods, DNS aside."""
    if not is_empty(spec.get("podSelector")):
        return set()
    directions = set(map(str, sequence(spec.get("policyTypes"))))
    if spec.get("ingress"):
        directions.discard("Ingress")
    if any(not _is_dns(mapping(rule)) for rule in sequence(spec.get("egress"))):
        directions.discard("Egress")
    return directions


def _is_dns(rule: dict[str, Any]) -> bool:
    given = [mapping(port) for port in sequence(rule.get("ports"))]
    return bool(given) and all(port.get("port") == _DNS_PORT and "endPort" not in port for port in given)


def namespaced(render: Render) -> Iterator[Finding]:
    """Every object says its namespace: else it lands where whoever applies it happens to be."""
    for manifest in render.objects:
        if str(manifest.get("kind")) not in CLUSTER_SCOPED and namespace_of(manifest) in ("", "default"):
            change = "set `namespace:` in the kustomization of the overlay"
            where = joined("metadata", "namespace")
            yield render.finding(NAMESPACE, manifest, where, "it lies in no namespace of its own", change)


def _templates(render: Render) -> list[PodTemplate]:
    objects = (*render.already_there, *render.objects, *render.applied_later)
    return [template for manifest in objects for template in pod_templates(manifest)]
